// Object, Function, Number, Math, Reflect and globals: what the engine lacks of ES2015 to ES2023.
import { G, define, fill, hasOwn, host, isObject, put, replace, toInteger } from "./core.js";
import { iterate } from "./symbols.js";

const ownKeys = Reflect.ownKeys;

function objectOf(source) {
	if (source === null || source === undefined) throw new TypeError("Cannot convert undefined or null to object");
	return Object(source);
}

fill(Object, {
	values(source) {
		const from = objectOf(source);
		const keys = Object.keys(from);
		for (let i = 0; i < keys.length; i++) keys[i] = from[keys[i]];
		return keys;
	},
	entries(source) {
		const from = objectOf(source);
		const keys = Object.keys(from);
		const out = new Array(keys.length);
		for (let i = 0; i < keys.length; i++) out[i] = [keys[i], from[keys[i]]];
		return out;
	},
	fromEntries(source) {
		const out = {};
		iterate(source, (pair) => {
			if (!isObject(pair)) throw new TypeError(`Iterator value ${String(pair)} is not an entry object`);
			put(out, typeof pair[0] === "symbol" ? pair[0] : String(pair[0]), pair[1]);
		});
		return out;
	},
	getOwnPropertyDescriptors(source) {
		const out = {};
		const keys = ownKeys(source);
		for (let i = 0; i < keys.length; i++) {
			put(out, keys[i], Object.getOwnPropertyDescriptor(source, keys[i]));
		}
		return out;
	},
	hasOwn(object, key) {
		return hasOwn(Object(object), key);
	},
});

// A copy of untrusted JSON by Object.assign must not change what the copy inherits from.
const nativeAssign = Object.assign;
define(Object, "assign", function assign(target) {
	for (let i = 1; i < arguments.length; i++) {
		const source = arguments[i];
		if (isObject(source) && hasOwn(source, "__proto__")) {
			for (const key in source) if (hasOwn(source, key)) put(target, key, source[key]);
		} else {
			nativeAssign(target, source);
		}
	}
	return nativeAssign(target);
});

// The engine refuses a receiver other than the object.
const nativeGet = Reflect.get;
define(Reflect, "get", function get(object, key, receiver) {
	if (arguments.length < 3 || receiver === object) return nativeGet(object, key);
	for (let at = object; at !== null; at = Object.getPrototypeOf(at)) {
		const found = Object.getOwnPropertyDescriptor(at, key);
		if (found !== undefined) return found.get === undefined ? found.value : found.get.call(receiver);
	}
	return undefined;
});

const sinh = (x) => (Math.exp(x) - Math.exp(-x)) / 2;
const cosh = (x) => (Math.exp(x) + Math.exp(-x)) / 2;
fill(Math, {
	acosh: (x) => Math.log(x + Math.sqrt(x * x - 1)),
	asinh: (x) => (x === 0 || !isFinite(x) ? x : Math.log(x + Math.sqrt(x * x + 1))),
	atanh: (x) => Math.log((1 + x) / (1 - x)) / 2,
	cosh,
	expm1: (x) => (Math.abs(x) < 1e-5 ? x + (x * x) / 2 : Math.exp(x) - 1),
	fround: (x) => new Float32Array([x])[0],
	log1p: (x) => (Math.abs(x) < 1e-5 ? x - (x * x) / 2 : Math.log(1 + x)),
	sinh,
	tanh: (x) => (x > 20 ? 1 : x < -20 ? -1 : sinh(x) / cosh(x)),
});

// The engine rounds long digits up at an exact half, and the last digits of other bases are its own: the host's are
// V8's.
const NativeNumber = G.Number;
Object.getOwnPropertyNames(NativeNumber).forEach((name) => {
	Object.defineProperty(host.Number, name, Object.getOwnPropertyDescriptor(NativeNumber, name));
});
replace(G, { Number: host.Number, parseFloat: host.parseFloat, parseInt: host.parseInt });
replace(Number, { parseFloat, parseInt });
define(Number.prototype, "constructor", Number);
replace(Number.prototype, { toString: host.toString, toFixed: host.toFixed });
replace(Math, { round: host.round, cbrt: host.cbrt });

function digits(name, least) {
	const native = Number.prototype[name];
	define(Number.prototype, name, function (count) {
		if (count !== undefined && !(toInteger(count) >= least && toInteger(count) <= 100) && isFinite(this)) {
			throw new RangeError(`${name}() argument must be between ${least} and 100`);
		}
		return native.call(this, count);
	});
}
digits("toPrecision", 1);
digits("toExponential", 0);

// A copy of this memory would repeat a generator's numbers: each comes from the kernel, in small lots that are
// dropped when a run starts.
let pool = null;
let left = 0;

export function dropRandomPool() {
	pool = null;
	left = 0;
}

replace(Math, {
	random() {
		if (left === 0) {
			pool = host.random(448);
			left = 448;
		}
		left -= 7;
		let value = pool[left] & 31;
		for (let i = 1; i < 7; i++) value = value * 256 + pool[left + i];
		return value / 9007199254740992;
	},
});

fill(G, { globalThis: G });

// Identifiers beyond 2^53, which functions compare, print and store as text.  No arithmetic: an object cannot
// take part in it, and a wrong number is worse than an error.
const interned = Object.create(null);

function BigInt(value) {
	if (this instanceof BigInt) throw new TypeError("BigInt is not a constructor");
	if (value !== null && typeof value === "object" && value instanceof BigInt) return value;
	if (value === null || value === undefined || typeof value === "symbol") {
		throw new TypeError(`Cannot convert ${String(value)} to a BigInt`);
	}
	let text = typeof value === "boolean" ? String(Number(value)) : String(value).trim();
	if (typeof value === "number") {
		if (!Number.isInteger(value)) {
			throw new RangeError(`The number ${value} cannot be converted to a BigInt because it is not an integer`);
		}
		if (Math.abs(value) >= 1e21) throw new RangeError(`BigInt(${value}) is not supported here`);
	}
	if (text === "") text = "0";
	if (!/^[+-]?\d+$/.test(text)) throw new SyntaxError(`Cannot convert ${text} to a BigInt`);
	const digits = text.replace(/^[+-]?0*(?=\d)/, "");
	text = (text.charAt(0) === "-" && digits !== "0" ? "-" : "") + digits;
	if (!interned[text]) {
		const made = Object.create(BigInt.prototype);
		define(made, "digits", text);
		interned[text] = Object.freeze(made);
	}
	return interned[text];
}

// Text that orders as the numbers do and that Number() reads: padded, or a number when negative.
function comparable(text) {
	return text.charAt(0) === "-" ? Number(text) : "0".repeat(Math.max(0, 40 - text.length)) + text;
}

define(BigInt.prototype, "constructor", BigInt);
define(BigInt.prototype, "toString", function (radix) {
	if (radix === undefined || radix === 10) return this.digits;
	const number = Number(this.digits);
	if (!Number.isSafeInteger(number)) throw new RangeError("BigInt.prototype.toString: only base 10 beyond 2^53");
	return number.toString(radix);
});
define(BigInt.prototype, "toLocaleString", function () {
	return this.digits.replace(/(\d)(?=(\d{3})+$)/g, "$1,");
});
define(BigInt.prototype, "valueOf", function () {
	return this;
});
define(BigInt.prototype, "toJSON", function () {
	throw new TypeError("Do not know how to serialize a BigInt");
});
define(BigInt.prototype, Symbol.toPrimitive, function (hint) {
	if (hint === "string") return this.digits;
	if (hint === "number") return comparable(this.digits);
	throw new TypeError("BigInt arithmetic is not supported: compare, or convert with Number() or String()");
});
Object.defineProperty(BigInt.prototype, Symbol.toStringTag, { value: "BigInt", configurable: true });
define(G, "BigInt", BigInt);

// ES built-ins whose subject never ends within a run.
function WeakRef(target) {
	if (!(this instanceof WeakRef)) throw new TypeError("Constructor WeakRef requires 'new'");
	define(this, "deref", () => target);
}
function FinalizationRegistry() {
	if (!(this instanceof FinalizationRegistry)) throw new TypeError("Constructor FinalizationRegistry requires 'new'");
}
replace(FinalizationRegistry.prototype, { register() {}, unregister: () => false });
define(G, "WeakRef", WeakRef);
define(G, "FinalizationRegistry", FinalizationRegistry);
