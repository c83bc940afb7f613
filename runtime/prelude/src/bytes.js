// Buffer, TextEncoder, TextDecoder, atob, btoa.  The host converts; here are only the shapes.
import { G, clamp, define, getter, hasOwn, hiddenKey, host, replace, toInteger } from "./core.js";

const Native = G.Buffer;
const proto = Native.prototype;
const setPrototypeOf = Object.setPrototypeOf;

// Makes a Buffer over what the host gave: an object or a plain buffer.
export function wrap(bytes) {
	return setPrototypeOf(Object(bytes), proto);
}

function latin1(text) {
	const out = new Uint8Array(text.length);
	for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
	return out;
}

function utf16(text) {
	const out = new Uint8Array(text.length * 2);
	for (let i = 0; i < text.length; i++) {
		out[2 * i] = text.charCodeAt(i) & 255;
		out[2 * i + 1] = text.charCodeAt(i) >> 8;
	}
	return out;
}

// In parts: apply has a limit.
function units(bytes, each) {
	let out = "";
	for (let i = 0; i < bytes.length; ) {
		const part = [];
		for (; i < bytes.length && part.length < 1000; i++) part.push(bytes[i] & each);
		out += String.fromCharCode.apply(null, part);
	}
	return out;
}

function utf16Text(bytes) {
	const part = [];
	for (let i = 0; i + 1 < bytes.length; i += 2) part.push(String.fromCharCode(bytes[i] | (bytes[i + 1] << 8)));
	return part.join("");
}

function kind(encoding) {
	const name = encoding === undefined || encoding === null ? "utf8" : String(encoding).toLowerCase();
	switch (name) {
		case "utf8":
		case "utf-8":
			return "utf8";
		case "latin1":
		case "binary":
			return "latin1";
		case "ucs2":
		case "ucs-2":
		case "utf16le":
		case "utf-16le":
			return "utf16le";
		case "hex":
		case "base64":
		case "base64url":
		case "ascii":
			return name;
		default:
			throw new TypeError(`Unknown encoding: ${String(encoding)}`);
	}
}

// Whole pairs of hexadecimal digits, up to the first that is none.
function hexBytes(text) {
	const bad = text.search(/[^0-9a-fA-F]/);
	const end = bad < 0 ? text.length : bad;
	return host.hexDecode(text.slice(0, end - (end % 2)));
}

export function encode(text, encoding) {
	switch (kind(encoding)) {
		case "utf8":
			return host.utf8Encode(text);
		case "hex":
			return hexBytes(text);
		case "base64":
		case "base64url":
			return host.base64Decode(text);
		case "utf16le":
			return utf16(text);
		default:
			return latin1(text);
	}
}

export function decode(bytes, encoding) {
	switch (kind(encoding)) {
		case "utf8":
			return host.utf8Decode(bytes);
		case "hex":
			return host.hex(bytes);
		case "base64":
			return host.base64(bytes, false);
		case "base64url":
			return host.base64(bytes, true);
		case "utf16le":
			return utf16Text(bytes);
		case "ascii":
			return units(bytes, 127);
		default:
			return units(bytes, 255);
	}
}

export function isBytes(value) {
	return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

// The octets of anything that has them.
export function octets(value) {
	if (value instanceof Uint8Array) return value;
	if (value instanceof ArrayBuffer) return new Uint8Array(value);
	return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

function copyOf(list) {
	const out = new Native(list.length);
	for (let i = 0; i < list.length; i++) out[i] = list[i];
	return out;
}

function from(value, second, length) {
	if (typeof value === "string") return wrap(encode(value, second));
	if (value === null || typeof value !== "object") {
		const received = value === null || value === undefined ? String(value) : `type ${typeof value} (${String(value)})`;
		const error = new TypeError(`The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object. Received ${received}`);
		error.code = "ERR_INVALID_ARG_TYPE";
		throw error;
	}
	if (value instanceof ArrayBuffer) {
		const start = toInteger(second);
		return wrap(new Uint8Array(value, start, length === undefined ? value.byteLength - start : length));
	}
	if (value instanceof Uint8Array) {
		const out = new Native(value.length);
		out.set(value);
		return out;
	}
	if (value.type === "Buffer" && Array.isArray(value.data)) return copyOf(value.data);
	const plain = typeof value.valueOf === "function" ? value.valueOf() : value;
	if (plain !== value && plain !== null && plain !== undefined) return from(plain, second, length);
	return copyOf(Array.isArray(value) || typeof value.length === "number" ? value : Array.from(value));
}

function alloc(size, filler, encoding) {
	if (typeof size !== "number" || !(size >= 0) || size > 0x7fffffff) {
		throw new RangeError(`The value of "size" is out of range. Received ${String(size)}`);
	}
	const out = new Native(size);
	out.fill(filler === undefined ? 0 : filler, 0, size, encoding);
	return out;
}

function Buffer(value, second, length) {
	return typeof value === "number" ? alloc(value) : from(value, second, length);
}

Object.defineProperty(Buffer, "prototype", { value: proto, writable: false });
setPrototypeOf(Buffer, G.Uint8Array);
define(proto, "constructor", Buffer);
replace(Buffer, {
	from,
	alloc,
	allocUnsafe: (size) => alloc(size),
	of() {
		return copyOf(arguments);
	},
	isBuffer: (value) => value instanceof Buffer,
	isEncoding(name) {
		try {
			return typeof name === "string" && kind(name) !== "";
		} catch (error) {
			return false;
		}
	},
	byteLength: (value, encoding) => (typeof value === "string" ? encode(value, encoding).length : value.byteLength),
	compare: (a, b) => Native.compare(a, b),
	concat(list, total) {
		let size = 0;
		for (let i = 0; i < list.length; i++) size += list[i].length;
		const out = alloc(total === undefined ? size : total);
		let at = 0;
		for (let i = 0; i < list.length && at < out.length; i++) {
			const room = out.length - at;
			out.set(list[i].length > room ? list[i].subarray(0, room) : list[i], at);
			at += list[i].length;
		}
		return out;
	},
});

const subarray = Object.getPrototypeOf(Uint8Array.prototype).subarray;

function findBytes(bytes, wanted, start) {
	const last = bytes.length - wanted.length;
	for (let i = start; i <= last; i++) {
		let j = 0;
		while (j < wanted.length && bytes[i + j] === wanted[j]) j++;
		if (j === wanted.length) return i;
	}
	return -1;
}

replace(proto, {
	toString(encoding, start, end) {
		const whole = start === undefined && end === undefined;
		return decode(whole ? this : this.subarray(start, end), encoding);
	},
	toJSON() {
		return { type: "Buffer", data: Array.prototype.slice.call(this) };
	},
	subarray(start, end) {
		return wrap(subarray.call(this, clamp(start, this.length, 0), clamp(end, this.length, this.length)));
	},
	slice(start, end) {
		return this.subarray(start, end);
	},
	equals(other) {
		if (!(other instanceof Uint8Array)) throw new TypeError("The argument must be an instance of Buffer or Uint8Array");
		return this.length === other.length && Native.compare(this, other) === 0;
	},
	write(text, offset, length, encoding) {
		const at = typeof offset === "number" ? offset : 0;
		const name = typeof offset === "string" ? offset : typeof length === "string" ? length : encoding;
		const bytes = encode(String(text), name);
		const room = Math.min(typeof length === "number" ? length : Infinity, this.length - at);
		const count = Math.min(bytes.length, room);
		for (let i = 0; i < count; i++) this[at + i] = bytes[i];
		return count;
	},
	fill(value, start, end, encoding) {
		const name = typeof start === "string" ? start : encoding;
		const from0 = typeof start === "string" ? 0 : clamp(start, this.length, 0);
		const to = clamp(end, this.length, this.length);
		const by = typeof value === "number" ? [value & 255] : typeof value === "string" ? encode(value, name) : value;
		for (let i = from0; i < to; i++) this[i] = by.length === 0 ? 0 : by[(i - from0) % by.length];
		return this;
	},
	indexOf(value, start, encoding) {
		const wanted = typeof value === "number" ? [value & 255] : typeof value === "string" ? encode(value, encoding) : value;
		return findBytes(this, wanted, clamp(start, this.length, 0));
	},
	includes(value, start, encoding) {
		return this.indexOf(value, start, encoding) >= 0;
	},
});
// readUint8 is another name of readUInt8, and so on.
Object.getOwnPropertyNames(proto).forEach((name) => {
	const other = name.replace("UInt", "Uint");
	if (other !== name && typeof proto[name] === "function") define(proto, other, proto[name]);
});
define(proto, "lastIndexOf", function (value, start, encoding) {
	const wanted = typeof value === "number" ? [value & 255] : typeof value === "string" ? encode(value, encoding) : value;
	const last = this.length - wanted.length;
	for (let i = start === undefined ? last : Math.min(last, clamp(start, this.length, last)); i >= 0; i--) {
		let j = 0;
		while (j < wanted.length && this[i + j] === wanted[j]) j++;
		if (j === wanted.length) return i;
	}
	return -1;
});
define(G, "Buffer", Buffer);

// Text encoding of the web.
function TextEncoder() {}
getter(TextEncoder.prototype, "encoding", () => "utf-8");
replace(TextEncoder.prototype, {
	encode(text) {
		return setPrototypeOf(Object(host.utf8Encode(text === undefined ? "" : String(text))), Uint8Array.prototype);
	},
});
define(G, "TextEncoder", TextEncoder);

define(TextEncoder.prototype, "encodeInto", function (text, into) {
	let read = 0;
	let written = 0;
	for (const c of String(text)) {
		const bytes = host.utf8Encode(c);
		if (written + bytes.length > into.length) break;
		for (let i = 0; i < bytes.length; i++) into[written++] = bytes[i];
		read += c.length;
	}
	return { read, written };
});

const DECODER = hiddenKey("decoder");
const LABELS = {
	...{ "utf-8": "utf-8", utf8: "utf-8", "unicode-1-1-utf-8": "utf-8" },
	...{ "utf-16le": "utf-16le", "utf-16": "utf-16le", "ucs-2": "utf-16le" },
	...{ latin1: "windows-1252", "iso-8859-1": "windows-1252", ascii: "windows-1252", "us-ascii": "windows-1252" },
	...{ "windows-1252": "windows-1252", cp1252: "windows-1252" },
};
// windows-1252 from 0x80 to 0x9f (WHATWG Encoding).
const HIGH = "\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178";

function TextDecoder(label, options) {
	const name = label === undefined ? "utf-8" : String(label).trim().toLowerCase();
	if (!hasOwn(LABELS, name)) throw new RangeError(`The "${String(label)}" encoding is not supported`);
	const given = options || {};
	this[DECODER] = { name: LABELS[name], fatal: Boolean(given.fatal), ignoreBOM: Boolean(given.ignoreBOM), kept: null };
}
["fatal", "ignoreBOM"].forEach((name) =>
	getter(TextDecoder.prototype, name, function () {
		return this[DECODER][name];
	}),
);
getter(TextDecoder.prototype, "encoding", function () {
	return this[DECODER].name;
});

// How many bytes at the end are the start of a UTF-8 sequence.
function unfinished(bytes) {
	for (let back = 1; back <= 3 && back <= bytes.length; back++) {
		const c = bytes[bytes.length - back];
		if ((c & 0xc0) === 0x80) continue;
		return (c >= 0xf0 && back < 4) || (c >= 0xe0 && back < 3) || (c >= 0xc2 && back < 2) ? back : 0;
	}
	return 0;
}

replace(TextDecoder.prototype, {
	decode(bytes, options) {
		const state = this[DECODER];
		let source = bytes === undefined ? new Uint8Array(0) : octets(bytes);
		if (state.kept !== null) source = Buffer.concat([state.kept, source]);
		state.kept = null;
		if (state.name === "windows-1252") {
			return units(source, 255).replace(/[\x80-\x9f]/g, (c) => HIGH.charAt(c.charCodeAt(0) - 0x80));
		}
		if (options && options.stream) {
			const count = state.name === "utf-8" ? unfinished(source) : source.length % 2;
			state.kept = copyOf(source.subarray(source.length - count));
			source = source.subarray(0, source.length - count);
		}
		const text = state.name === "utf-8" ? host.utf8Decode(source) : utf16Text(source);
		if (state.fatal && state.name === "utf-8" && Native.compare(wrap(host.utf8Encode(text)), wrap(source)) !== 0) {
			throw new TypeError("The encoded data was not valid for encoding utf-8");
		}
		return text.charCodeAt(0) === 0xfeff && !state.ignoreBOM ? text.slice(1) : text;
	},
});
define(G, "TextDecoder", TextDecoder);

function invalidCharacter() {
	const error = new Error("Invalid character");
	define(error, "name", "InvalidCharacterError");
	throw error;
}

replace(G, {
	btoa(value) {
		const text = String(value);
		for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 255) invalidCharacter();
		return host.base64(latin1(text), false);
	},
	atob(value) {
		const text = String(value).replace(/[\t\n\f\r ]/g, "");
		const bare = text.length % 4 === 0 ? text.replace(/==?$/, "") : text;
		if (bare.length % 4 === 1 || !/^[A-Za-z0-9+/]*$/.test(bare)) invalidCharacter();
		return units(host.base64Decode(bare), 255);
	},
});
