// Symbols and the iterators of strings and lists.
import { G, define, getter, hasOwn, hiddenKey, isObject } from "./core.js";

const Symbol = G.Symbol;
const well = ["asyncIterator", "match", "matchAll", "replace", "search", "split", "species", "unscopables"];
for (let i = 0; i < well.length; i++) {
	if (!Symbol[well[i]]) {
		Object.defineProperty(Symbol, well[i], { value: Symbol("Symbol." + well[i]) });
	}
}
if (!("description" in Symbol.prototype)) {
	getter(Symbol.prototype, "description", function () {
		const text = String(this.valueOf()).slice(7, -1);
		return text === "" ? undefined : text;
	});
}

// All built-in iterators share one prototype with [Symbol.iterator] on it.
export const IteratorPrototype = {};
define(IteratorPrototype, Symbol.iterator, function () {
	return this;
});

export const AsyncIteratorPrototype = {};
define(AsyncIteratorPrototype, Symbol.asyncIterator, function () {
	return this;
});

const STEP = hiddenKey("step");

// A kind of iterator: its members are made by `makeIterator(proto, step)` where step() answers
// { value, done }.
export function iteratorKind(tag) {
	const proto = Object.create(IteratorPrototype);
	define(proto, "next", function () {
		return this[STEP]();
	});
	Object.defineProperty(proto, Symbol.toStringTag, { value: tag, configurable: true });
	return proto;
}

export function makeIterator(proto, step) {
	const iterator = Object.create(proto);
	iterator[STEP] = step;
	return iterator;
}

const ArrayIterator = iteratorKind("Array Iterator");
const StringIterator = iteratorKind("String Iterator");

// pick(list, index) -> what the iterator yields
export function listIterator(list, pick) {
	let at = 0;
	return makeIterator(ArrayIterator, function () {
		if (list === null || at >= list.length) {
			list = null;
			return { value: undefined, done: true };
		}
		return { value: pick(list, at++), done: false };
	});
}

const pickKey = (list, at) => at;
const pickValue = (list, at) => list[at];
const pickEntry = (list, at) => [at, list[at]];

export const listMethods = {
	keys() {
		return listIterator(this, pickKey);
	},
	values() {
		return listIterator(this, pickValue);
	},
	entries() {
		return listIterator(this, pickEntry);
	},
};

// Gives a prototype the iteration methods of a list.
export function iterable(proto) {
	for (const name in listMethods) {
		if (!hasOwn(proto, name)) define(proto, name, listMethods[name]);
	}
	define(proto, Symbol.iterator, proto.values);
}

iterable(Array.prototype);

define(String.prototype, Symbol.iterator, function () {
	const text = String(this);
	let at = 0;
	return makeIterator(StringIterator, function () {
		if (at >= text.length) return { value: undefined, done: true };
		const unit = text.charCodeAt(at);
		let value = text.charAt(at++);
		if (unit >= 0xd800 && unit < 0xdc00 && at < text.length) {
			const low = text.charCodeAt(at);
			if (low >= 0xdc00 && low < 0xe000) value += text.charAt(at++);
		}
		return { value, done: false };
	});
});

// Reads anything iterable into an array; `each` sees the members one by one.
export function iterate(source, each) {
	if (Array.isArray(source)) {
		for (let i = 0; i < source.length; i++) each(source[i], i);
		return;
	}
	const method = source === null || source === undefined ? undefined : source[Symbol.iterator];
	if (typeof method !== "function") {
		const shown = source === undefined ? "undefined" : `${typeof source} ${source === null ? "null" : isObject(source) ? Object.prototype.toString.call(source) : String(source)}`;
		throw new TypeError(`${shown} is not iterable (cannot read property Symbol(Symbol.iterator))`);
	}
	const iterator = method.call(source);
	let at = 0;
	for (let step = iterator.next(); !step.done; step = iterator.next()) {
		try {
			each(step.value, at++);
		} catch (error) {
			if (typeof iterator.return === "function") iterator.return();
			throw error;
		}
	}
}
