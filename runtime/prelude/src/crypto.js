// The part of node:crypto that integrations use; the host does the arithmetic.
import { define, hiddenKey, host, toInteger } from "./core.js";
import { decode, encode, isBytes, octets, wrap } from "./bytes.js";

const ALGORITHMS = ["md5", "sha1", "sha256", "sha512"];
const STATE = hiddenKey("digest");

function inputOf(data, encoding) {
	if (typeof data === "string") return encode(data, encoding);
	if (isBytes(data)) return octets(data);
	throw new TypeError(
		`The "data" argument must be of type string or an instance of Buffer, TypedArray, or DataView. Received ${data === null ? "null" : `type ${typeof data}`}`,
	);
}

function algorithm(name) {
	const known = String(name).toLowerCase().replace(/^rsa-/, "").replace(/^sha-/, "sha");
	if (ALGORITHMS.indexOf(known) < 0) throw new Error("Digest method not supported");
	return known;
}

// finish(bytes) -> digest
function digester(prototype, finish) {
	const made = Object.create(prototype);
	made[STATE] = { parts: [], finish, over: false };
	return made;
}

const Digest = {};
define(Digest, "update", function (data, encoding) {
	if (this[STATE].over) throw new Error("Digest already called");
	this[STATE].parts.push(inputOf(data, encoding));
	return this;
});
define(Digest, "digest", function (encoding) {
	const state = this[STATE];
	if (state.over) throw new Error("Digest already called");
	state.over = true;
	const parts = state.parts;
	const bytes = state.finish(parts.length === 1 ? parts[0] : Buffer.concat(parts));
	return encoding === undefined || encoding === "buffer" ? wrap(bytes) : decode(bytes, encoding);
});

export function createHash(name) {
	const known = algorithm(name);
	return digester(Digest, (bytes) => host.hash(known, bytes));
}

export function createHmac(name, key) {
	const known = algorithm(name);
	const secret = inputOf(key);
	return digester(Digest, (bytes) => host.hmac(known, secret, bytes));
}

export function hash(name, data, encoding) {
	return createHash(name).update(data).digest(encoding || "hex");
}

export function randomBytes(size, callback) {
	const count = toInteger(size);
	if (count < 0 || count > 65536 * 16) throw new RangeError(`The value of "size" is out of range. Received ${size}`);
	const bytes = count === 0 ? Buffer.alloc(0) : wrap(host.random(count));
	if (typeof callback !== "function") return bytes;
	Promise.resolve().then(() => callback(null, bytes));
	return undefined;
}

export function randomUUID() {
	const bytes = octets(host.random(16));
	bytes[6] = (bytes[6] & 15) | 64;
	bytes[8] = (bytes[8] & 63) | 128;
	const text = host.hex(bytes);
	return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`;
}

// A whole number in [min, max), without bias.
export function randomInt(first, second) {
	const min = second === undefined ? 0 : first;
	const range = (second === undefined ? first : second) - min;
	if (!(range > 0 && range < 281474976710656)) throw new RangeError('The value of "max" is out of range');
	const limit = 281474976710656 - (281474976710656 % range);
	for (;;) {
		const bytes = octets(host.random(6));
		let value = 0;
		for (let i = 0; i < 6; i++) value = value * 256 + bytes[i];
		if (value < limit) return min + (value % range);
	}
}

export function timingSafeEqual(a, b) {
	if (!isBytes(a) || !isBytes(b)) {
		throw new TypeError("The arguments must be instances of Buffer, ArrayBuffer, TypedArray, or DataView");
	}
	const x = octets(a);
	const y = octets(b);
	if (x.length !== y.length) {
		const error = new RangeError("Input buffers must have the same byte length");
		error.code = "ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH";
		throw error;
	}
	return host.equal(x, y);
}

export const getHashes = () => ALGORITHMS.slice();
