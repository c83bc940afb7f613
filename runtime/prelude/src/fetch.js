// What nango.uncontrolledFetch answers with.
import { G, define, getter, hiddenKey, host, isObject, replace } from "./core.js";
import { isBytes, octets, wrap } from "./bytes.js";
import { iterate, iteratorKind, makeIterator } from "./symbols.js";

const LIST = hiddenKey("headers");
const BODY = hiddenKey("body");

export function Headers(init) {
	this[LIST] = [];
	if (init instanceof Headers) init.forEach((value, name) => this.append(name, value));
	else if (isObject(init) && typeof init[Symbol.iterator] === "function") {
		iterate(init, (pair) => this.append(pair[0], pair[1]));
	} else if (isObject(init)) {
		Object.keys(init).forEach((name) => {
			const value = init[name];
			if (Array.isArray(value)) value.forEach((each) => this.append(name, each));
			else this.append(name, value);
		});
	}
}

const HeadersIterator = iteratorKind("Headers Iterator");
function headersIterator(headers, pick) {
	const list = headers[LIST].slice().sort((a, b) => (a[0] < b[0] ? -1 : 1));
	let at = 0;
	return makeIterator(HeadersIterator, () =>
		at < list.length ? { value: pick(list[at++]), done: false } : { value: undefined, done: true },
	);
}

function nameOf(name) {
	const text = String(name);
	if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)) throw new TypeError(`Header name must be a valid HTTP token ["${text}"]`);
	return text.toLowerCase();
}

replace(Headers.prototype, {
	append(name, value) {
		const key = nameOf(name);
		const found = this[LIST].find((pair) => pair[0] === key);
		if (found === undefined) this[LIST].push([key, String(value).trim()]);
		else found[1] += `, ${String(value).trim()}`;
	},
	delete(name) {
		const key = nameOf(name);
		this[LIST] = this[LIST].filter((pair) => pair[0] !== key);
	},
	get(name) {
		const key = nameOf(name);
		const found = this[LIST].find((pair) => pair[0] === key);
		return found === undefined ? null : found[1];
	},
	has(name) {
		return this.get(name) !== null;
	},
	set(name, value) {
		this.delete(name);
		this.append(name, value);
	},
	forEach(callback, self) {
		iterate(this.entries(), (pair) => callback.call(self, pair[1], pair[0], this));
	},
	keys() {
		return headersIterator(this, (pair) => pair[0]);
	},
	values() {
		return headersIterator(this, (pair) => pair[1]);
	},
	entries() {
		return headersIterator(this, (pair) => [pair[0], pair[1]]);
	},
});
define(Headers.prototype, Symbol.iterator, Headers.prototype.entries);
define(G, "Headers", Headers);

export function Response(body, init) {
	const options = init || {};
	this.status = options.status === undefined ? 200 : options.status;
	this.statusText = options.statusText || "";
	this.headers = new Headers(options.headers);
	this.ok = this.status >= 200 && this.status < 300;
	this.url = options.url || "";
	this.redirected = Boolean(options.redirected);
	this.bodyUsed = false;
	this[BODY] = isBytes(body) ? octets(body) : host.utf8Encode(body === undefined || body === null ? "" : String(body));
}

async function take(response) {
	if (response.bodyUsed) throw new TypeError("Body is unusable: Body has already been read");
	response.bodyUsed = true;
	return response[BODY];
}

replace(Response.prototype, {
	async text() {
		const text = host.utf8Decode(await take(this));
		return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
	},
	async json() {
		return JSON.parse(await this.text());
	},
	async arrayBuffer() {
		const bytes = octets(await take(this));
		const copy = new Uint8Array(bytes.length);
		copy.set(bytes);
		return copy.buffer;
	},
	async bytes() {
		return wrap(await take(this));
	},
	clone() {
		return new Response(this[BODY], this);
	},
});
getter(Response.prototype, "body", function () {
	return null;
});
define(G, "Response", Response);
