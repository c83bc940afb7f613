// Questions to the host and their answers.
import { define, host } from "./core.js";
import { nativeParse, nativeStringify } from "./json.js";

const waiting = Object.create(null);
let count = 0;
let last = 0;
let over = false;

export const callsPending = () => count > 0;

// Nothing may be asked once the run is over; what a function still waits for then never comes.
export function closeCalls() {
	over = true;
}

// An answer of the host that is not a result.  `code` decides what the caller of the function sees.
export class HostError extends Error {
	constructor(answer, op) {
		super(typeof answer.message === "string" ? answer.message : `${op} failed`);
		this.code = typeof answer.code === "string" ? answer.code : "unknown";
		define(this, "answer", answer);
	}
}

// Resolves with { meta, body }; body: bytes or undefined.
export function call(op, meta, body) {
	return new Promise((resolve, reject) => {
		if (over) return;
		const id = ++last;
		waiting[id] = { resolve, reject, op };
		count++;
		try {
			host.call(id, op, nativeStringify(meta), body);
		} catch (error) {
			delete waiting[id];
			count--;
			reject(error);
		}
	});
}

// Says something; no answer is wanted.
export function tell(op, meta) {
	if (!over) host.call(0, op, nativeStringify(meta), undefined);
}

export function reply(id, ok, metaText, body) {
	const question = waiting[id];
	if (question === undefined) return;
	delete waiting[id];
	count--;
	const meta = metaText === "" || metaText === undefined ? null : nativeParse(metaText);
	if (ok) question.resolve({ meta, body });
	else question.reject(new HostError(meta || {}, question.op));
}

// The result of a call whose answer is one value: the body when there is one (lists of records), else the meta.
export async function ask(op, meta, body) {
	const answer = await call(op, meta, body);
	if (answer.body !== undefined && answer.body !== null && answer.body.length > 0) {
		return JSON.parse(host.utf8Decode(answer.body));
	}
	return answer.meta;
}
