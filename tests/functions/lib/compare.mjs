// What of two traces must be the same, and how a difference is shown.
import { withoutKeys } from './provider.mjs';

const LOG_CHARACTERS = 100; // the daemon's own log cuts texts

// A log of the reference; the second argument is what it is about.
export const shortLog = ({ level, message, meta }) => ({ level, message: withoutKeys(message).replaceAll('\u0000', '\\u0000').slice(0, LOG_CHARACTERS), ...(meta !== undefined && { meta: withoutKeys(meta).slice(0, LOG_CHARACTERS) }) });

// "..." of the daemon's log: bytes that are not plain are escaped.
function unquote(text) {
	const units = { n: '\n', t: '\t', r: '\r' };
	const bytes = text.replace(/\\(x[0-9a-f]{2}|u[0-9a-f]{4}|.)/gs, (_, c) => {
		if (c[0] === 'x' && c.length === 3) return `\udc00${c.slice(1)}`;
		if (c[0] === 'u' && c.length === 5) return String.fromCharCode(parseInt(c.slice(1), 16));
		return units[c] ?? c;
	});
	return bytes.replace(/(?:\udc00[0-9a-f]{2})+/g, (run) => Buffer.from(run.replaceAll('\udc00', ''), 'hex').toString());
}

// A line of the daemon's log.
export function readLog(line) {
	const [, level] = /level=(\w+)/.exec(line);
	const field = (name) => {
		const found = new RegExp(` ${name}="((?:[^"\\\\]|\\\\.)*)"`, 's').exec(line)?.[1];
		return found === undefined ? undefined : unquote(found);
	};
	return shortLog({ level, message: field('message'), meta: field('meta') });
}

// Only what the wire promises of an error; texts that are ours to choose are left out.
export function errorOf(answer) {
	const { error } = JSON.parse(answer.text);
	if (!error) return { status: answer.status, text: answer.text };
	const out = { status: answer.status, code: error.code, payload: error.payload };
	if (error.upstream) out.upstream = error.upstream;
	if (error.code === 'script_network_error') out.payload = { code: error.payload.code, name: error.payload.name };
	if (error.code === 'script_internal_error') {
		const { message, name, stacktrace } = error.payload;
		out.payload = { message, name, head: stacktrace?.[0], frames: stacktrace?.slice(1) ?? [] };
		if (stacktrace?.length === 0) delete out.payload.head;
	}
	return out;
}

const lineOf = (frame) => /([\w-]+\.cjs):(\d+)/.exec(frame)?.slice(1, 3).join(':') ?? frame;

export function sorted(value) {
	if (Array.isArray(value)) return value.map(sorted);
	if (value === null || typeof value !== 'object') return value;
	return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

function comparableError(error, run) {
	const out = sorted(error);
	if (run.freeMessage && out.payload) delete out.payload.frames;
	if (out.payload?.frames) {
		const frames = out.payload.frames.map(lineOf);
		out.payload.frames = run.frames === false ? frames.length > 0 : frames[0];
	}
	// The message of ours that says which limit or shape was hurt.
	if (run.freeMessage && out.payload?.message) {
		delete out.payload.message;
		delete out.payload.head;
	}
	if (run.onlyCode) {
		delete out.payload;
		delete out.upstream;
	}
	return out;
}

// A trace, or the traces of all steps, as text.
export function comparable(trace, run) {
	const one = (each) => {
		const out = { ...each };
		if (out.error?.ofSync) out.error = { ...out.error, ...(run.freeMessage && { message: 'of its own' }) };
		else if (out.error) out.error = comparableError(out.error, run);
		if (run.unordered && out.requests) out.requests = out.requests.map((request) => JSON.stringify(request)).sort();
		return out;
	};
	return withoutKeys(JSON.stringify(Array.isArray(trace) ? trace.map(one) : one(trace), null, 1));
}

// The lines that differ.
export function difference(wanted, got) {
	const left = wanted.split('\n');
	const right = got.split('\n');
	const out = [];
	for (let i = 0; i < Math.max(left.length, right.length) && out.length < 24; i++) {
		if (left[i] === right[i]) continue;
		if (left[i] !== undefined) out.push(`#   node:   ${left[i].slice(0, 1500)}`);
		if (right[i] !== undefined) out.push(`#   runner: ${right[i].slice(0, 1500)}`);
	}
	return out.join('\n');
}
