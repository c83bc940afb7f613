// The helpers that lowered code calls, as globals.  Most are TypeScript's own (tslib); the ones below are on
// the path of every loop and spread, or must treat "__proto__" as data.
import {
	__addDisposableResource,
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
	__runInitializers,
	__setFunctionName,
} from "tslib";

import { G, define, hasOwn, nativeSymbols as symbolsOf, put } from "./core.js";
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
	throw new TypeError(`${source === null ? "null" : typeof source} is not iterable`);
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
	const iterator = __values(source);
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
	__values,
};
for (const name in helpers) {
	if (hasOwn(helpers, name)) define(G, name, helpers[name]);
}

// Object.assign sets, as the standard has it; a copy made of own data does not.
export { __assign as copyInto, iterate };
