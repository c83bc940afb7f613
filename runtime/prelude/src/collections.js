// Map, Set, WeakMap, WeakSet.  Entries are linked in order of insertion, so that iteration survives deletion;
// an index by kind of key finds them.  Objects are told apart by a number under a hidden key, given
// before they are frozen, so that frozen keys work.
import { G, define, getter, hasOwn, hiddenKey, isObject } from "./core.js";
import { iterate, iteratorKind, makeIterator } from "./symbols.js";

const TAG = hiddenKey("identity");
const DATA = hiddenKey("entries");
let lastTag = 0;

// Not enumerable: a copy of the object is another object.
function tagOf(object) {
	if (!hasOwn(object, TAG)) Object.defineProperty(object, TAG, { value: ++lastTag });
	return object[TAG];
}

// Once an object is closed it can take no tag.
["freeze", "seal", "preventExtensions"].forEach((name) => {
	const native = Object[name];
	define(Object, name, function (object) {
		if (isObject(object) && Object.isExtensible(object)) tagOf(object);
		return native(object);
	});
});
const nativePrevent = Reflect.preventExtensions;
define(Reflect, "preventExtensions", function (object) {
	if (isObject(object) && Object.isExtensible(object)) tagOf(object);
	return nativePrevent(object);
});

function newData() {
	return { text: null, other: null, object: null, strange: null, first: null, last: null, size: 0 };
}

// Objects the engine made closed have no tag: they are looked for one by one.
function isStrange(key) {
	return !Object.isExtensible(key) && !hasOwn(key, TAG);
}

function findStrange(data, key) {
	const list = data.strange;
	for (let i = 0; list !== null && i < list.length; i++) if (list[i].key === key) return list[i];
	return undefined;
}

function find(data, key) {
	switch (typeof key) {
		case "string":
			return data.text === null ? undefined : data.text[key];
		case "object":
		case "function":
			if (key !== null) {
				if (data.object !== null && hasOwn(key, TAG)) return data.object[key[TAG]];
				return data.strange === null ? undefined : findStrange(data, key);
			}
			return data.other === null ? undefined : data.other["null"];
		case "symbol":
			return data.other === null ? undefined : data.other[key];
		default:
			return data.other === null ? undefined : data.other[String(key)];
	}
}

function index(data, key, entry) {
	if (typeof key === "string") {
		if (data.text === null) data.text = Object.create(null);
		data.text[key] = entry;
	} else if (!isObject(key)) {
		if (data.other === null) data.other = Object.create(null);
		data.other[typeof key === "symbol" ? key : String(key)] = entry;
	} else if (isStrange(key)) {
		if (data.strange === null) data.strange = [];
		data.strange.push(entry);
	} else {
		if (data.object === null) data.object = Object.create(null);
		data.object[tagOf(key)] = entry;
	}
}

function unindex(data, key, entry) {
	if (typeof key === "string") delete data.text[key];
	else if (!isObject(key)) delete data.other[typeof key === "symbol" ? key : String(key)];
	else if (isStrange(key)) data.strange = data.strange.filter((each) => each !== entry);
	else delete data.object[key[TAG]];
}

function store(data, key, value) {
	const found = find(data, key);
	if (found !== undefined) {
		found.value = value;
		return;
	}
	const entry = { key: key === 0 ? 0 : key, value, next: null, before: data.last, gone: false };
	if (data.last === null) data.first = entry;
	else data.last.next = entry;
	data.last = entry;
	data.size++;
	index(data, key, entry);
}

function drop(data, key) {
	const entry = find(data, key);
	if (entry === undefined) return false;
	unindex(data, key, entry);
	entry.gone = true;
	if (entry.before === null) data.first = entry.next;
	else entry.before.next = entry.next;
	if (entry.next === null) data.last = entry.before;
	else entry.next.before = entry.before;
	data.size--;
	return true;
}

function clear(data) {
	for (let entry = data.first; entry !== null; entry = entry.next) entry.gone = true;
	data.text = data.other = data.object = data.strange = data.first = data.last = null;
	data.size = 0;
}

// The entry after `entry` (null: the first).  A deleted entry still knows what was before it.
function after(data, entry) {
	while (entry !== null && entry.gone) entry = entry.before;
	return entry === null ? data.first : entry.next;
}

function dataOf(object, kind, method) {
	const data = isObject(object) ? object[DATA] : undefined;
	if (data === undefined) {
		throw new TypeError(`Method ${kind}.prototype.${method} called on incompatible receiver`);
	}
	return data;
}

const MapIterator = iteratorKind("Map Iterator");
const SetIterator = iteratorKind("Set Iterator");

function iterator(proto, data, pick) {
	let entry = null;
	let over = false;
	return makeIterator(proto, () => {
		if (!over) {
			entry = after(data, entry);
			if (entry !== null) return { value: pick(entry), done: false };
			over = true;
		}
		return { value: undefined, done: true };
	});
}

const pickKey = (entry) => entry.key;
const pickValue = (entry) => entry.value;
const pickPair = (entry) => [entry.key, entry.value];

function forEach(data, owner, callback, self) {
	for (let entry = after(data, null); entry !== null; entry = after(data, entry)) {
		callback.call(self, entry.value, entry.key, owner);
	}
}

function Map(source) {
	if (!(this instanceof Map)) throw new TypeError("Constructor Map requires 'new'");
	this[DATA] = newData();
	if (source === undefined || source === null) return;
	iterate(source, (pair) => {
		if (!isObject(pair)) throw new TypeError(`Iterator value ${String(pair)} is not an entry object`);
		this.set(pair[0], pair[1]);
	});
}

function Set(source) {
	if (!(this instanceof Set)) throw new TypeError("Constructor Set requires 'new'");
	this[DATA] = newData();
	if (source === undefined || source === null) return;
	iterate(source, (value) => this.add(value));
}

// Methods that both kinds have, and their names in messages.
function common(C, kind) {
	const proto = C.prototype;
	define(proto, "has", function has(key) {
		return find(dataOf(this, kind, "has"), key) !== undefined;
	});
	define(proto, "delete", function (key) {
		return drop(dataOf(this, kind, "delete"), key);
	});
	define(proto, "clear", function () {
		clear(dataOf(this, kind, "clear"));
	});
	define(proto, "forEach", function (callback, self) {
		forEach(dataOf(this, kind, "forEach"), this, callback, self);
	});
	getter(proto, "size", function () {
		return dataOf(this, kind, "size").size;
	});
	getter(C, Symbol.species, function () {
		return this;
	});
	Object.defineProperty(proto, Symbol.toStringTag, { value: kind, configurable: true });
	define(proto, "constructor", C);
	define(G, kind, C);
}

common(Map, "Map");
common(Set, "Set");

define(Map.prototype, "get", function (key) {
	const entry = find(dataOf(this, "Map", "get"), key);
	return entry === undefined ? undefined : entry.value;
});
define(Map.prototype, "set", function (key, value) {
	store(dataOf(this, "Map", "set"), key, value);
	return this;
});
define(Map.prototype, "keys", function () {
	return iterator(MapIterator, dataOf(this, "Map", "keys"), pickKey);
});
define(Map.prototype, "values", function () {
	return iterator(MapIterator, dataOf(this, "Map", "values"), pickValue);
});
define(Map.prototype, "entries", function () {
	return iterator(MapIterator, dataOf(this, "Map", "entries"), pickPair);
});
define(Map.prototype, Symbol.iterator, Map.prototype.entries);
define(Map, "groupBy", function (source, choose) {
	const groups = new Map();
	iterate(source, (member, at) => {
		const key = choose(member, at);
		const list = groups.get(key);
		if (list === undefined) groups.set(key, [member]);
		else list.push(member);
	});
	return groups;
});

define(Set.prototype, "add", function (value) {
	store(dataOf(this, "Set", "add"), value, value);
	return this;
});
define(Set.prototype, "values", function () {
	return iterator(SetIterator, dataOf(this, "Set", "values"), pickKey);
});
define(Set.prototype, "keys", Set.prototype.values);
define(Set.prototype, "entries", function () {
	return iterator(SetIterator, dataOf(this, "Set", "entries"), (entry) => [entry.key, entry.key]);
});
define(Set.prototype, Symbol.iterator, Set.prototype.values);

function requireObject(key, kind) {
	if (!isObject(key) && typeof key !== "symbol") {
		throw new TypeError(`Invalid value used ${kind === "WeakMap" ? "as weak map key" : "in weak set"}`);
	}
}

// A run is short and its memory is thrown away whole: weakness would save nothing.
function WeakMap(source) {
	if (!(this instanceof WeakMap)) throw new TypeError("Constructor WeakMap requires 'new'");
	this[DATA] = newData();
	if (source !== undefined && source !== null) iterate(source, (pair) => this.set(pair[0], pair[1]));
}

function WeakSet(source) {
	if (!(this instanceof WeakSet)) throw new TypeError("Constructor WeakSet requires 'new'");
	this[DATA] = newData();
	if (source !== undefined && source !== null) iterate(source, (value) => this.add(value));
}

function weak(C, kind) {
	define(C.prototype, "has", function (key) {
		return isObject(key) && find(dataOf(this, kind, "has"), key) !== undefined;
	});
	define(C.prototype, "delete", function (key) {
		return isObject(key) && drop(dataOf(this, kind, "delete"), key);
	});
	Object.defineProperty(C.prototype, Symbol.toStringTag, { value: kind, configurable: true });
	define(C.prototype, "constructor", C);
	define(G, kind, C);
}

weak(WeakMap, "WeakMap");
weak(WeakSet, "WeakSet");
define(WeakMap.prototype, "get", Map.prototype.get);
define(WeakMap.prototype, "set", function (key, value) {
	requireObject(key, "WeakMap");
	store(dataOf(this, "WeakMap", "set"), key, value);
	return this;
});
define(WeakSet.prototype, "add", function (value) {
	requireObject(value, "WeakSet");
	store(dataOf(this, "WeakSet", "add"), value, value);
	return this;
});
