// Lists: what ES2015 to ES2023 added to Array and to the typed arrays, and a sort that keeps the order of equals.
import { G, clamp, define, fill, getter, isObject, replace, toInteger } from "./core.js";
import { iterable, iterate } from "./symbols.js";

const ArrayProto = G.Array.prototype;

function fails(callback) {
	throw new TypeError(`${Array.isArray(callback) ? "[object Array]" : isObject(callback) ? "#<Object>" : String(callback)} is not a function`);
}

function byText(a, b) {
	const x = String(a);
	const y = String(b);
	return x < y ? -1 : x > y ? 1 : 0;
}

// Sorts list[0..length) by merging; `compare` answers a number.
function mergeSort(list, compare) {
	const length = list.length;
	for (let i = 1; i < length && i < 8; i++) insert(list, 0, i, compare);
	if (length <= 8) return list;
	for (let start = 8; start < length; start += 8) {
		const end = Math.min(start + 8, length);
		for (let i = start + 1; i < end; i++) insert(list, start, i, compare);
	}
	let from = list;
	let to = new Array(length);
	for (let width = 8; width < length; width *= 2) {
		for (let start = 0; start < length; start += 2 * width) {
			merge(from, to, start, Math.min(start + width, length), Math.min(start + 2 * width, length), compare);
		}
		const swap = from;
		from = to;
		to = swap;
	}
	return from;
}

function insert(list, start, at, compare) {
	const member = list[at];
	let i = at;
	for (; i > start && compare(list[i - 1], member) > 0; i--) list[i] = list[i - 1];
	list[i] = member;
}

function merge(from, to, start, middle, end, compare) {
	let left = start;
	let right = middle;
	for (let i = start; i < end; i++) {
		if (left < middle && (right >= end || compare(from[left], from[right]) <= 0)) to[i] = from[left++];
		else to[i] = from[right++];
	}
}

// The members of `list` in order: undefined after everything else, then holes.
function sorted(list, compare) {
	if (compare !== undefined && typeof compare !== "function") {
		throw new TypeError("The comparison function must be either a function or undefined");
	}
	const present = [];
	let empty = 0;
	for (let i = 0; i < list.length; i++) {
		if (list[i] !== undefined) present.push(list[i]);
		else if (i in list) empty++;
	}
	const by = compare === undefined ? byText : (a, b) => Number(compare(a, b));
	const out = mergeSort(present, by);
	for (let i = 0; i < empty; i++) out.push(undefined);
	return out;
}

function findAt(list, test, self, start, end, step) {
	if (typeof test !== "function") fails(test);
	for (let i = start; i !== end; i += step) if (test.call(self, list[i], i, list)) return i;
	return -1;
}

function flatten(list, depth, out) {
	for (let i = 0; i < list.length; i++) {
		if (!(i in list)) continue;
		if (depth > 0 && Array.isArray(list[i])) flatten(list[i], depth - 1, out);
		else out.push(list[i]);
	}
	return out;
}

// Methods that fit typed arrays as well.
const shared = {
	at(index) {
		const at = toInteger(index);
		return this[at < 0 ? this.length + at : at];
	},
	fill(value, start, end) {
		const stop = clamp(end, this.length, this.length);
		for (let i = clamp(start, this.length, 0); i < stop; i++) this[i] = value;
		return this;
	},
	find(test, self) {
		const at = findAt(this, test, self, 0, this.length >>> 0, 1);
		return at < 0 ? undefined : this[at];
	},
	findIndex(test, self) {
		return findAt(this, test, self, 0, this.length >>> 0, 1);
	},
	findLast(test, self) {
		const at = findAt(this, test, self, (this.length >>> 0) - 1, -1, -1);
		return at < 0 ? undefined : this[at];
	},
	findLastIndex(test, self) {
		return findAt(this, test, self, (this.length >>> 0) - 1, -1, -1);
	},
	includes(member, start) {
		const length = this.length >>> 0;
		for (let i = clamp(start, length, 0); i < length; i++) {
			if (this[i] === member || (member !== member && this[i] !== this[i])) return true;
		}
		return false;
	},
	copyWithin(target, start, end) {
		const length = this.length >>> 0;
		const part = ArrayProto.slice.call(this, clamp(start, length, 0), clamp(end, length, length));
		const to = clamp(target, length, 0);
		for (let i = 0; i < part.length && to + i < length; i++) this[to + i] = part[i];
		return this;
	},
};

// A list of the kind that `list` is: Array, or a class that extends it.
function sameKind(list) {
	const C = list.constructor;
	if (!Array.isArray(list) || C === G.Array || typeof C !== "function") return [];
	return C.prototype instanceof G.Array ? new C() : [];
}

function fold(list, callback, args, from, to, step) {
	if (typeof callback !== "function") fails(callback);
	let at = from;
	let value;
	if (args.length > 1) {
		value = args[1];
	} else {
		while (at !== to && !(at in list)) at += step;
		if (at === to) throw new TypeError("Reduce of empty array with no initial value");
		value = list[at];
		at += step;
	}
	for (; at !== to; at += step) if (at in list) value = callback(value, list[at], at, list);
	return value;
}

// The engine has these, but a callback called by C takes of its small stack: trees are walked by map in map.
const walking = {
	every(test, self) {
		if (typeof test !== "function") fails(test);
		const length = this.length >>> 0;
		for (let i = 0; i < length; i++) if (i in this && !test.call(self, this[i], i, this)) return false;
		return true;
	},
	some(test, self) {
		if (typeof test !== "function") fails(test);
		const length = this.length >>> 0;
		for (let i = 0; i < length; i++) if (i in this && test.call(self, this[i], i, this)) return true;
		return false;
	},
	forEach(callback, self) {
		if (typeof callback !== "function") fails(callback);
		const length = this.length >>> 0;
		for (let i = 0; i < length; i++) if (i in this) callback.call(self, this[i], i, this);
	},
	map(callback, self) {
		if (typeof callback !== "function") fails(callback);
		const length = this.length >>> 0;
		const out = sameKind(this);
		out.length = length;
		for (let i = 0; i < length; i++) if (i in this) out[i] = callback.call(self, this[i], i, this);
		return out;
	},
	filter(test, self) {
		if (typeof test !== "function") fails(test);
		const length = this.length >>> 0;
		const out = sameKind(this);
		for (let i = 0; i < length; i++) {
			if (!(i in this)) continue;
			const member = this[i];
			if (test.call(self, member, i, this)) out[out.length] = member;
		}
		return out;
	},
	reduce(callback) {
		return fold(this, callback, arguments, 0, this.length >>> 0, 1);
	},
	reduceRight(callback) {
		return fold(this, callback, arguments, (this.length >>> 0) - 1, -1, -1);
	},
};
const lengths = Object.keys(walking);
for (let i = 0; i < lengths.length; i++) {
	Object.defineProperty(walking[lengths[i]], "length", { value: 1, configurable: true });
}
replace(ArrayProto, walking);

// A class that extends Array calls it like a function; what it answers gets the class's prototype.
const NativeArray = G.Array;
function Array(length) {
	const list = arguments.length === 1 ? NativeArray(length) : ArrayProto.slice.call(arguments);
	if (this instanceof Array) {
		const wanted = Object.getPrototypeOf(this);
		if (wanted !== ArrayProto) Object.setPrototypeOf(list, wanted);
	}
	return list;
}
Object.defineProperty(Array, "prototype", { value: ArrayProto, writable: false });
define(ArrayProto, "constructor", Array);
define(Array, "isArray", NativeArray.isArray);
define(G, "Array", Array);

fill(ArrayProto, shared);
fill(ArrayProto, {
	flat(depth) {
		return flatten(this, depth === undefined ? 1 : toInteger(depth), []);
	},
	flatMap(callback, self) {
		if (typeof callback !== "function") fails(callback);
		const out = [];
		for (let i = 0; i < this.length; i++) {
			if (!(i in this)) continue;
			const made = callback.call(self, this[i], i, this);
			if (Array.isArray(made)) for (let j = 0; j < made.length; j++) out.push(made[j]);
			else out.push(made);
		}
		return out;
	},
	toReversed() {
		return ArrayProto.slice.call(this).reverse();
	},
	toSorted(compare) {
		return sorted(ArrayProto.slice.call(this), compare);
	},
	toSpliced() {
		const copy = ArrayProto.slice.call(this);
		copy.splice.apply(copy, arguments);
		return copy;
	},
	with(index, value) {
		const at = toInteger(index);
		const to = at < 0 ? this.length + at : at;
		if (to < 0 || to >= this.length) throw new RangeError(`Invalid index : ${String(index)}`);
		const copy = ArrayProto.slice.call(this);
		copy[to] = value;
		return copy;
	},
});
replace(ArrayProto, {
	sort(compare) {
		const list = Object(this);
		const out = sorted(list, compare);
		for (let i = 0; i < out.length; i++) list[i] = out[i];
		for (let i = list.length - 1; i >= out.length; i--) delete list[i];
		return list;
	},
});

fill(Array, {
	from(source, map, self) {
		if (source === null || source === undefined) iterate(source);
		const out = typeof this === "function" && this.prototype instanceof Array ? new this() : [];
		const add = map === undefined ? (member) => out.push(member) : (member, at) => out.push(map.call(self, member, at));
		if (typeof source[Symbol.iterator] === "function") {
			iterate(source, add);
		} else {
			const length = Math.max(0, toInteger(source.length));
			for (let i = 0; i < length; i++) add(source[i], i);
		}
		return out;
	},
	of() {
		const list = ArrayProto.slice.call(arguments);
		return typeof this === "function" && this.prototype instanceof Array ? this.from(list) : list;
	},
});
getter(Array, Symbol.species, function () {
	return this;
});

// Typed arrays: the engine has set and subarray only.
const TypedProto = Object.getPrototypeOf(Uint8Array.prototype);
const byNumber = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
// The constructor to make more of the same; a Buffer's answers are Buffers.
const same = (list, length) => (list.constructor.alloc ? list.constructor.alloc(length) : new list.constructor(length));

function fromList(list, members) {
	const out = same(list, members.length);
	for (let i = 0; i < members.length; i++) out[i] = members[i];
	return out;
}

const borrowed = ["every", "forEach", "indexOf", "join", "lastIndexOf", "reduce", "reduceRight", "reverse", "some"];
for (let i = 0; i < borrowed.length; i++) define(TypedProto, borrowed[i], ArrayProto[borrowed[i]]);
fill(TypedProto, shared);
fill(TypedProto, {
	filter(test, self) {
		return fromList(this, ArrayProto.filter.call(this, test, self));
	},
	map(callback, self) {
		return fromList(this, ArrayProto.map.call(this, callback, self));
	},
	slice(start, end) {
		const from = clamp(start, this.length, 0);
		const to = Math.max(from, clamp(end, this.length, this.length));
		const out = same(this, to - from);
		out.set(this.subarray(from, to));
		return out;
	},
	sort(compare) {
		this.set(mergeSort(ArrayProto.slice.call(this), compare || byNumber));
		return this;
	},
	toString: ArrayProto.toString,
});
iterable(TypedProto);

const kinds = ["Int8", "Uint8", "Uint8Clamped", "Int16", "Uint16", "Int32", "Uint32", "Float32", "Float64"];
for (let i = 0; i < kinds.length; i++) {
	const C = G[`${kinds[i]}Array`];
	// The engine's constructors read lists, not iterators.
	fill(C, {
		from(source, map, self) {
			return new this(Array.from(source, map, self));
		},
		of() {
			return new this(ArrayProto.slice.call(arguments));
		},
	});
	delete C.allocPlain;
	delete C.plainOf;
}

