// Buffer, TextEncoder, TextDecoder, atob, btoa.  The host converts; here are only the shapes.
import { checkNumbers, invalidValue, outOfRange, rangeError, wrongType } from "./arguments.js";
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

const FIRST = "first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object";
const isList = (value) => value instanceof Uint8Array;

function checkBytes(name, value) {
	if (!isList(value)) throw wrongType(`"${name}" argument must be an instance of Buffer or Uint8Array`, value);
}

function from(value, second, length) {
	if (typeof value === "string") return wrap(encode(value, second));
	if (value === null || typeof value !== "object") throw wrongType(FIRST, value);
	if (value instanceof ArrayBuffer) {
		const start = toInteger(second);
		if (start > value.byteLength) throw rangeError('"offset" is outside of buffer bounds', "ERR_BUFFER_OUT_OF_BOUNDS");
		const size = length === undefined ? value.byteLength - start : Math.max(0, toInteger(length));
		if (start + size > value.byteLength) throw rangeError('"length" is outside of buffer bounds', "ERR_BUFFER_OUT_OF_BOUNDS");
		return wrap(new Uint8Array(value, start, size));
	}
	if (value instanceof Uint8Array) {
		const out = new Native(value.length);
		out.set(value);
		return out;
	}
	if (value.type === "Buffer" && Array.isArray(value.data)) return copyOf(value.data);
	const plain = typeof value.valueOf === "function" ? value.valueOf() : value;
	if (plain !== value && plain !== null && plain !== undefined && (typeof plain === "string" || typeof plain === "object")) {
		return from(plain, second, length);
	}
	if (value.length !== undefined || value.buffer instanceof ArrayBuffer) return copyOf(typeof value.length === "number" ? value : []);
	const exotic = value[Symbol.toPrimitive];
	if (typeof exotic === "function") {
		const text = exotic.call(value, "string");
		if (typeof text === "string") return wrap(encode(text, second));
	}
	throw wrongType(FIRST, value);
}

function checkSize(size) {
	if (typeof size !== "number") throw wrongType('"size" argument must be of type number', size);
	if (!(size >= 0 && size <= 4294967296)) throw outOfRange("size", ">= 0 && <= 4294967296", size);
}

function alloc(size, filler, encoding) {
	checkSize(size);
	const out = new Native(size);
	out.fill(filler === undefined ? 0 : filler, 0, out.length, encoding);
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
	byteLength(value, encoding) {
		if (typeof value === "string") return encode(value, encoding).length;
		if (!isBytes(value)) throw wrongType('"string" argument must be of type string or an instance of Buffer or ArrayBuffer', value);
		return value.byteLength;
	},
	compare(a, b) {
		checkBytes("buf1", a);
		checkBytes("buf2", b);
		return Native.compare(a, b);
	},
	concat(list, total) {
		if (!Array.isArray(list)) throw wrongType('"list" argument must be an instance of Array', list);
		let size = 0;
		for (let i = 0; i < list.length; i++) {
			checkBytes(`list[${i}]`, list[i]);
			size += list[i].length;
		}
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

function wantedBytes(value, encoding) {
	if (typeof value === "number") return [value & 255];
	if (typeof value === "string") return encode(value, encoding);
	if (!isList(value)) throw wrongType('"value" argument must be one of type number or string or an instance of Buffer or Uint8Array', value);
	return value;
}

function swap(size) {
	return function () {
		if (this.length % size !== 0) throw rangeError(`Buffer size must be a multiple of ${8 * size}-bits`, "ERR_INVALID_BUFFER_SIZE");
		for (let i = 0; i < this.length; i += size) this.subarray(i, i + size).reverse();
		return this;
	};
}

checkNumbers(proto);
const nativeCopy = proto.copy;
const nativeCompare = proto.compare;
replace(proto, {
	swap16: swap(2),
	swap32: swap(4),
	swap64: swap(8),
	copy(target, to, start, end) {
		checkBytes("target", target);
		if (toInteger(to) < 0) throw outOfRange("targetStart", ">= 0", to);
		if (toInteger(start) < 0 || toInteger(start) > this.length) throw outOfRange("sourceStart", `>= 0 && <= ${this.length}`, start);
		return nativeCopy.call(this, target, to, start, end);
	},
	compare(target, a, b, c, d) {
		checkBytes("target", target);
		if (a === undefined && c === undefined) return nativeCompare.call(this, target);
		return Native.compare(this.subarray(c, d), target.subarray(a, b));
	},
	toString(encoding, start, end) {
		const whole = start === undefined && end === undefined;
		return decode(whole ? this : this.subarray(Math.max(0, toInteger(start)), end === undefined ? end : Math.max(0, toInteger(end))), encoding);
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
		checkBytes("otherBuffer", other);
		return this.length === other.length && Native.compare(this, other) === 0;
	},
	write(text, offset, length, encoding) {
		const at = typeof offset === "number" ? offset : 0;
		const name = typeof offset === "string" ? offset : typeof length === "string" ? length : encoding;
		if (typeof text !== "string") throw new TypeError("argument must be a string");
		if (at < 0 || at > this.length) throw outOfRange("offset", `>= 0 && <= ${this.length}`, at);
		const bytes = encode(text, name);
		const room = Math.min(typeof length === "number" ? length : Infinity, this.length - at);
		let count = Math.min(bytes.length, room);
		// No part of a character.
		if (count < bytes.length && kind(name) === "utf8") while (count > 0 && (bytes[count] & 0xc0) === 0x80) count--;
		for (let i = 0; i < count; i++) this[at + i] = bytes[i];
		return count;
	},
	fill(value, start, end, encoding) {
		const name = typeof start === "string" ? start : encoding;
		const at = typeof start === "string" || start === undefined ? 0 : start;
		const to = end === undefined ? this.length : end;
		if (!(at >= 0)) throw outOfRange("offset", ">= 0 && <= 4294967296", at);
		if (!(to >= 0 && to <= this.length)) throw outOfRange("end", `>= 0 && <= ${this.length}`, to);
		let by = value;
		if (typeof value === "number" || typeof value === "boolean") by = [value & 255];
		else if (typeof value === "string") by = value === "" ? [0] : encode(value, name);
		if (by.length === 0) throw invalidValue("value", typeof value === "string" ? `'${value}'` : "<Buffer >");
		for (let i = at; i < to; i++) this[i] = by[(i - at) % by.length];
		return this;
	},
	indexOf(value, start, encoding) {
		if (typeof start === "string") return this.indexOf(value, 0, start);
		return findBytes(this, wantedBytes(value, encoding), clamp(start, this.length, 0));
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
	const wanted = wantedBytes(value, typeof start === "string" ? start : encoding);
	const last = this.length - wanted.length;
	for (let i = start === undefined ? last : Math.min(last, clamp(start, this.length, last)); i >= 0; i--) {
		let j = 0;
		while (j < wanted.length && this[i + j] === wanted[j]) j++;
		if (j === wanted.length) return i;
	}
	return -1;
});
getter(proto, "parent", function () {
	return this.buffer;
});
define(Buffer, "poolSize", 8192);
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

function invalidCharacter(text) {
	const error = new Error(text);
	define(error, "name", "InvalidCharacterError");
	throw error;
}

function checkInput(given) {
	if (given.length === 0) throw new TypeError('The "input" argument must be specified');
}

replace(G, {
	btoa(value) {
		checkInput(arguments);
		const text = String(value);
		for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 255) invalidCharacter("Invalid character");
		return host.base64(latin1(text), false);
	},
	atob(value) {
		checkInput(arguments);
		const text = String(value).replace(/[\t\n\f\r ]/g, "");
		const bare = text.length % 4 === 0 ? text.replace(/==?$/, "") : text;
		if (!/^[A-Za-z0-9+/]*$/.test(bare)) invalidCharacter("Invalid character");
		if (bare.length % 4 === 1) invalidCharacter("The string to be decoded is not correctly encoded.");
		return units(host.base64Decode(bare), 255);
	},
});
