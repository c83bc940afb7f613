// Promise jobs: one queue, run by the runner through __sluice.drain.
import { G, define, getter, hiddenKey, isObject } from "./core.js";
import { iterate } from "./symbols.js";

let queue = [];
let head = 0;

export function enqueue(job) {
	queue.push(job);
}

export const jobsPending = () => head < queue.length;

export function drain() {
	while (head < queue.length) {
		const job = queue[head];
		queue[head++] = undefined;
		if (head === 1024) {
			queue = queue.slice(head);
			head = 0;
		}
		job();
	}
	queue = [];
	head = 0;
}

const PENDING = 0;
const FULFILLED = 1;
const REJECTED = 2;

// Hidden from scripts, JSON and Object.keys.
const STATE = hiddenKey("promise.state");
const VALUE = hiddenKey("promise.value");
const WAITING = hiddenKey("promise.waiting");

function react(reaction, state, value) {
	const handler = state === FULFILLED ? reaction.onFulfilled : reaction.onRejected;
	enqueue(() => {
		if (handler === undefined) {
			if (state === FULFILLED) reaction.resolve(value);
			else reaction.reject(value);
			return;
		}
		let result;
		try {
			result = handler(value);
		} catch (error) {
			reaction.reject(error);
			return;
		}
		reaction.resolve(result);
	});
}

function settle(promise, state, value) {
	const waiting = promise[WAITING];
	promise[STATE] = state;
	promise[VALUE] = value;
	promise[WAITING] = null;
	for (let i = 0; i < waiting.length; i++) react(waiting[i], state, value);
}

function resolvers(promise) {
	let done = false;
	return {
		resolve(value) {
			if (done) return;
			done = true;
			resolve(promise, value);
		},
		reject(reason) {
			if (done) return;
			done = true;
			settle(promise, REJECTED, reason);
		},
	};
}

function resolve(promise, value) {
	if (value === promise) {
		settle(promise, REJECTED, new TypeError("Chaining cycle detected for promise #<Promise>"));
		return;
	}
	if (!isObject(value)) {
		settle(promise, FULFILLED, value);
		return;
	}
	let then;
	try {
		then = value.then;
	} catch (error) {
		settle(promise, REJECTED, error);
		return;
	}
	if (typeof then !== "function") {
		settle(promise, FULFILLED, value);
		return;
	}
	enqueue(() => {
		const each = resolvers(promise);
		try {
			then.call(value, each.resolve, each.reject);
		} catch (error) {
			each.reject(error);
		}
	});
}

const getPrototypeOf = Object.getPrototypeOf;

function Promise(executor) {
	if (!(this instanceof Promise)) {
		throw new TypeError("Promise constructor cannot be invoked without 'new'");
	}
	if (typeof executor !== "function") {
		throw new TypeError(`Promise resolver ${String(executor)} is not a function`);
	}
	this[STATE] = PENDING;
	this[VALUE] = undefined;
	this[WAITING] = [];
	const each = resolvers(this);
	try {
		executor(each.resolve, each.reject);
	} catch (error) {
		each.reject(error);
	}
}

// For async functions: a promise without an executor, and the waiting for any value without a promise for the end.
export function newPromise() {
	const made = Object.create(Promise.prototype);
	made[STATE] = PENDING;
	made[VALUE] = undefined;
	made[WAITING] = [];
	return made;
}

export { resolve as resolvePromise };
export const rejectPromise = (promise, reason) => settle(promise, REJECTED, reason);

const noop = () => undefined;

export function awaitValue(value, onFulfilled, onRejected) {
	let promise = value;
	if (!isObject(value) || value[STATE] === undefined || value.constructor !== Promise) {
		promise = newPromise();
		resolve(promise, value);
	}
	const reaction = { promise: null, resolve: noop, reject: noop, onFulfilled, onRejected };
	if (promise[STATE] === PENDING) promise[WAITING].push(reaction);
	else react(reaction, promise[STATE], promise[VALUE]);
}

// A promise together with its resolve and reject, of the constructor C.
function capability(C) {
	const out = { promise: undefined, resolve: undefined, reject: undefined };
	out.promise = new C((ok, fail) => {
		out.resolve = ok;
		out.reject = fail;
	});
	return out;
}

function then(onFulfilled, onRejected) {
	const reaction = capability(getPrototypeOf(this) === Promise.prototype ? Promise : this.constructor);
	reaction.onFulfilled = typeof onFulfilled === "function" ? onFulfilled : undefined;
	reaction.onRejected = typeof onRejected === "function" ? onRejected : undefined;
	if (this[STATE] === PENDING) this[WAITING].push(reaction);
	else react(reaction, this[STATE], this[VALUE]);
	return reaction.promise;
}

define(Promise.prototype, "then", then);
define(Promise.prototype, "catch", function (onRejected) {
	return this.then(undefined, onRejected);
});
define(Promise.prototype, "finally", function (onFinally) {
	if (typeof onFinally !== "function") return this.then(onFinally, onFinally);
	const C = this.constructor;
	return this.then(
		(value) => C.resolve(onFinally()).then(() => value),
		(reason) =>
			C.resolve(onFinally()).then(() => {
				throw reason;
			}),
	);
});
define(Promise.prototype, "constructor", Promise);
Object.defineProperty(Promise.prototype, Symbol.toStringTag, { value: "Promise", configurable: true });
getter(Promise, Symbol.species, function () {
	return this;
});

define(Promise, "resolve", function (value) {
	if (isObject(value) && value[STATE] !== undefined && value.constructor === this) return value;
	return new this((ok) => ok(value));
});
define(Promise, "reject", function (reason) {
	return new this((ok, fail) => fail(reason));
});
define(Promise, "withResolvers", function () {
	return capability(this);
});

// What all, allSettled and any share: one slot per member, and an end when all slots are filled.
function collect(C, source, each, finish) {
	const result = capability(C);
	const slots = [];
	let left = 1;
	const filled = () => {
		if (--left === 0) finish(result, slots);
	};
	try {
		iterate(source, (member, at) => {
			let done = false;
			const fillSlot = (value) => {
				if (done) return;
				done = true;
				slots[at] = value;
				filled();
			};
			left++;
			slots[at] = undefined;
			each(C.resolve(member), fillSlot, result);
		});
	} catch (error) {
		result.reject(error);
		return result.promise;
	}
	filled();
	return result.promise;
}

const resolveSlots = (result, slots) => result.resolve(slots);

define(Promise, "all", function (source) {
	return collect(
		this,
		source,
		(member, fillSlot, result) => member.then(fillSlot, result.reject),
		resolveSlots,
	);
});
define(Promise, "allSettled", function (source) {
	return collect(
		this,
		source,
		(member, fillSlot) =>
			member.then(
				(value) => fillSlot({ status: "fulfilled", value }),
				(reason) => fillSlot({ status: "rejected", reason }),
			),
		resolveSlots,
	);
});
define(Promise, "any", function (source) {
	return collect(
		this,
		source,
		(member, fillSlot, result) => member.then(result.resolve, fillSlot),
		(result, slots) => result.reject(new G.AggregateError(slots, "All promises were rejected")),
	);
});
define(Promise, "race", function (source) {
	const result = capability(this);
	try {
		iterate(source, (member) => this.resolve(member).then(result.resolve, result.reject));
	} catch (error) {
		result.reject(error);
	}
	return result.promise;
});

define(G, "Promise", Promise);
