// The helpers that lowered code calls, as globals.  Most are TypeScript's own (tslib); the ones below are on
// the path of every loop and spread, or must treat "__proto__" as data.
import {
	__addDisposableResource,
	__asyncDelegator,
	__asyncGenerator,
	__asyncValues,
	__await,
	__classPrivateFieldGet,
	__classPrivateFieldIn,
	__classPrivateFieldSet,
	__createBinding,
	__decorate,
	__disposeResources,
	__esDecorate,
	__exportStar,
	__extends,
	__importDefault,
	__importStar,
	__makeTemplateObject,
	__metadata,
	__param,
	__propKey,
	__runInitializers,
	__setFunctionName,
} from "tslib";

import { G, define, hasOwn, nativeSymbols as symbolsOf, put } from "./core.js";
import { awaitValue, newPromise, rejectPromise, resolvePromise } from "./jobs.js";
import { notIterable } from "./messages.js";
import { iterate } from "./symbols.js";

const enumerable = Object.prototype.propertyIsEnumerable;

function __assign(target) {
	for (let i = 1; i < arguments.length; i++) {
		const source = arguments[i];
		if (source === null || source === undefined) continue;
		const from = Object(source);
		const keys = Object.keys(from);
		for (let j = 0; j < keys.length; j++) put(target, keys[j], from[keys[j]]);
		const symbols = symbolsOf(from);
		for (let j = 0; j < symbols.length; j++) {
			if (enumerable.call(from, symbols[j])) target[symbols[j]] = from[symbols[j]];
		}
	}
	return target;
}

function __rest(source, excluded) {
	const rest = {};
	if (source === null || source === undefined) return rest;
	const keys = Object.keys(Object(source));
	for (let i = 0; i < keys.length; i++) {
		if (excluded.indexOf(keys[i]) < 0) put(rest, keys[i], source[keys[i]]);
	}
	const symbols = symbolsOf(Object(source));
	for (let i = 0; i < symbols.length; i++) {
		if (excluded.indexOf(symbols[i]) < 0 && enumerable.call(source, symbols[i])) {
			rest[symbols[i]] = source[symbols[i]];
		}
	}
	return rest;
}

const arrayIterator = Array.prototype[Symbol.iterator];

function __values(source) {
	return valuesOf(source, "__values");
}

function valuesOf(source, helper) {
	if (Array.isArray(source) && source[Symbol.iterator] === arrayIterator) {
		let at = 0;
		return {
			next() {
				if (at < source.length) return { value: source[at++], done: false };
				at = Infinity;
				return { value: undefined, done: true };
			},
		};
	}
	const method = source === null || source === undefined ? undefined : source[Symbol.iterator];
	if (typeof method === "function") return method.call(source);
	if (source && typeof source.length === "number") return arrayIterator.call(source);
	throw notIterable(source, helper);
}

function __read(source, count) {
	if (Array.isArray(source)) {
		if (count === undefined || count >= source.length) {
			const copy = new Array(source.length);
			for (let i = 0; i < source.length; i++) copy[i] = source[i];
			return copy;
		}
		return source.slice(0, count);
	}
	const iterator = valuesOf(source, "__read");
	const out = [];
	let step;
	while ((count === undefined || out.length < count) && !(step = iterator.next()).done) {
		out.push(step.value);
	}
	if (step === undefined || !step.done) {
		if (typeof iterator.return === "function") iterator.return();
	}
	return out;
}

// `to` is always a fresh array here: TypeScript passes a literal or the result of another call.
function __spreadArray(to, from) {
	for (let i = 0; i < from.length; i++) to.push(from[i]);
	return to;
}

// A generator that TypeScript has made a state machine: body(state) answers an operation, [code, value]:
// 0 go on, 1 throw, 2 return, 3 jump to a label, 4 yield, 5 yield*, 6 exception, 7 end of a finally block.
// state.trys has [try, catch, finally, end] labels of the blocks that are open, state.ops what a finally delays.
const GO_ON = 0;
const THROW = 1;
const RETURN = 2;
const JUMP = 3;
const YIELD = 4;
const DELEGATE = 5;
const CAUGHT = 6;
const END_FINALLY = 7;

function State() {
	this.label = 0;
	this.trys = [];
	this.ops = [];
	this.sentOp = [GO_ON, undefined];
}
State.prototype.sent = function () {
	if (this.sentOp[0] === THROW || this.sentOp[0] === DELEGATE) throw this.sentOp[1];
	return this.sentOp[1];
};

// Where a jump, return or exception goes: a label of this function, or out of it (false).
function enterBlock(state, op) {
	for (;;) {
		const block = state.trys.length > 0 ? state.trys[state.trys.length - 1] : null;
		if (op[0] === JUMP && (block === null || (op[1] > block[0] && op[1] < block[3]))) {
			state.label = op[1];
			return true;
		}
		if (block === null) return false;
		if (op[0] === CAUGHT && state.label < block[1]) {
			state.label = block[1];
			state.sentOp = op;
			return true;
		}
		if (block[2] !== undefined && state.label < block[2]) {
			state.label = block[2];
			state.ops.push(op);
			return true;
		}
		if (block[2] !== undefined) state.ops.pop();
		state.trys.pop();
	}
}

function Generator(self, body) {
	this.self = self;
	this.body = body;
	this.state = new State();
	this.running = false;
	this.inner = null;
}

// Passes an operation to the generator that this one has delegated to.  Null: that one has given a member, which is
// in generator.result; else what this one goes on with.
function passOn(generator, op) {
	const inner = generator.inner;
	const method = op[0] === RETURN ? inner.return : op[0] === THROW ? inner.throw : inner.next;
	if (method === undefined || method === null) {
		generator.inner = null;
		if (op[0] === RETURN) return op;
		if (typeof inner.return === "function") inner.return();
		return [CAUGHT, new TypeError("The iterator does not provide a 'throw' method")];
	}
	let step;
	try {
		step = method.call(inner, op[1]);
	} catch (error) {
		generator.inner = null;
		return [CAUGHT, error];
	}
	if (!step.done) {
		generator.result = step;
		return null;
	}
	generator.inner = null;
	return [op[0] === RETURN ? RETURN : GO_ON, step.value];
}

// What follows from an operation: undefined when the body is to be called again, else the step of the generator.
Generator.prototype.after = function (given) {
	const state = this.state;
	let op = given;
	for (;;) {
		switch (op[0]) {
			case GO_ON:
			case THROW:
				state.sentOp = op;
				return undefined;
			case YIELD:
				state.label++;
				this.running = false;
				return { value: op[1], done: false };
			case DELEGATE:
				state.label++;
				this.inner = op[1];
				op = passOn(this, [GO_ON, undefined]);
				if (op !== null) continue;
				this.running = false;
				return this.result;
			case END_FINALLY:
				op = state.ops.pop();
				state.trys.pop();
				continue;
			default:
				if (enterBlock(state, op)) return undefined;
				this.state = null;
				this.running = false;
				if (op[0] === CAUGHT) throw op[1];
				return { value: op[1], done: true };
		}
	}
};

Generator.prototype.step = function (code, value) {
	if (this.running) throw new TypeError("Generator is already running");
	if (this.state === null) {
		if (code === THROW) throw value;
		return { value: code === RETURN ? value : undefined, done: true };
	}
	let op = [code, value];
	this.running = true;
	if (this.inner !== null) {
		op = passOn(this, op);
		if (op === null) {
			this.running = false;
			return this.result;
		}
	} else if (code === THROW && this.state.label === 0 && this.state.trys.length === 0) {
		op = [CAUGHT, value]; // nothing has run yet that could catch it
	}
	for (;;) {
		const step = this.after(op);
		if (step !== undefined) return step;
		try {
			op = this.body.call(this.self, this.state);
		} catch (error) {
			op = [CAUGHT, error];
		}
	}
};

define(Generator.prototype, "next", function (value) {
	return this.step(GO_ON, value);
});
define(Generator.prototype, "throw", function (error) {
	return this.step(THROW, error);
});
define(Generator.prototype, "return", function (value) {
	return this.step(RETURN, value);
});
define(Generator.prototype, Symbol.iterator, function () {
	return this;
});
Object.defineProperty(Generator.prototype, Symbol.toStringTag, { value: "Generator", configurable: true });

function __generator(self, body) {
	return new Generator(self, body);
}

// An async function.  The engine's stack has 10,000 frames, and a call that is waited for takes two of them: this
// and the body; Generator.prototype.step would be a third.
function __awaiter(self, args, P, make) {
	const generator = make.apply(self, args || []);
	const result = newPromise();
	let step;
	generator.running = true;
	try {
		for (;;) {
			let op;
			try {
				op = generator.body.call(generator.self, generator.state);
			} catch (error) {
				op = [CAUGHT, error];
			}
			step = generator.after(op);
			if (step !== undefined) break;
		}
	} catch (error) {
		rejectPromise(result, error);
		return result;
	}
	goOn(generator, result, step);
	return result;
}

function goOn(generator, result, step) {
	if (step.done) {
		resolvePromise(result, step.value);
		return;
	}
	const again = (code) => (value) => {
		let next;
		try {
			next = generator.step(code, value);
		} catch (error) {
			rejectPromise(result, error);
			return;
		}
		goOn(generator, result, next);
	};
	awaitValue(step.value, again(GO_ON), again(THROW));
}

// "super.key" of a class whose parts are lowered: found from `home` on, an accessor runs on the object itself.
function accessorAbove(home, key) {
	for (let object = home; object !== null && object !== undefined; object = Object.getPrototypeOf(object)) {
		const found = Object.getOwnPropertyDescriptor(object, key);
		if (found !== undefined) return found;
	}
	return undefined;
}

function __superGet(home, key, self) {
	const found = accessorAbove(home, key);
	if (found === undefined) return undefined;
	return found.get === undefined ? found.value : found.get.call(self);
}

function __superSet(home, key, value, self) {
	const found = accessorAbove(home, key);
	if (found !== undefined && found.set !== undefined) found.set.call(self, value);
	else self[key] = value;
	return value;
}

const helpers = {
	__addDisposableResource,
	__assign,
	__asyncDelegator,
	__asyncGenerator,
	__asyncValues,
	__await,
	__awaiter,
	__classPrivateFieldGet,
	__classPrivateFieldIn,
	__classPrivateFieldSet,
	__createBinding,
	__decorate,
	__disposeResources,
	__esDecorate,
	__exportStar,
	__extends,
	__generator,
	__importDefault,
	__importStar,
	__makeTemplateObject,
	__metadata,
	__param,
	__propKey,
	__read,
	__rest,
	__runInitializers,
	__setFunctionName,
	__spreadArray,
	__superGet,
	__superSet,
	__values,
};
for (const name in helpers) {
	if (hasOwn(helpers, name)) define(G, name, helpers[name]);
}

// Object.assign sets, as the standard has it; a copy made of own data does not.
export { __assign as copyInto, iterate };
