// What the other files need before anything is replaced: the host, the native functions kept out of the
// customers' reach, and the ways to define things.
const global = globalThis;

export const G = global;
export const host = global.__host;
export const nativeEval = global.eval;
export const hasOwn = (object, key) => Object.prototype.hasOwnProperty.call(object, key);

const hiddenKeys = [];

// A property key for our own use on objects that scripts hold.  JSON, for-in and Object.keys do not see symbols;
// what does is wrapped below.
export function hiddenKey(name) {
	const key = Symbol(name);
	hiddenKeys.push(key);
	return key;
}

export const nativeSymbols = Object.getOwnPropertySymbols;
const nativeKeys = Reflect.ownKeys;
const isShown = (key) => typeof key !== "symbol" || hiddenKeys.indexOf(key) < 0;

export function define(object, name, value) {
	Object.defineProperty(object, name, {
		value,
		writable: true,
		configurable: true,
		enumerable: false,
	});
}

// Adds each method of `methods` that `object` does not have.
export function fill(object, methods) {
	const names = Object.keys(methods);
	for (let i = 0; i < names.length; i++) {
		if (!hasOwn(object, names[i])) define(object, names[i], methods[names[i]]);
	}
}

// Sets each method of `methods`, replacing what was there.
export function replace(object, methods) {
	const names = Object.keys(methods);
	for (let i = 0; i < names.length; i++) define(object, names[i], methods[names[i]]);
}

export function getter(object, name, get) {
	Object.defineProperty(object, name, { get, configurable: true, enumerable: false });
}

// Writes data under any name: "__proto__" becomes an ordinary own property.
export function put(object, key, value) {
	if (key === "__proto__") {
		Object.defineProperty(object, key, {
			value,
			writable: true,
			configurable: true,
			enumerable: true,
		});
	} else {
		object[key] = value;
	}
}

export const isObject = (value) =>
	(typeof value === "object" && value !== null) || typeof value === "function";

export const toInteger = (value) => {
	const number = Math.trunc(Number(value));
	return number === number ? number : 0;
};

// Where `index` (negative: from the end) falls in something of `length` members.
export const clamp = (index, length, fallback) => {
	if (index === undefined) return fallback;
	const at = toInteger(index);
	return at < 0 ? Math.max(length + at, 0) : Math.min(at, length);
};

define(Object, "getOwnPropertySymbols", function getOwnPropertySymbols(object) {
	return nativeSymbols(object).filter(isShown);
});
define(Reflect, "ownKeys", function ownKeys(object) {
	return nativeKeys(object).filter(isShown);
});
