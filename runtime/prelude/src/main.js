// The object that the runner drives: runtime/binding.h says what each member must do.
import "./symbols.js";
import "./errors.js";
import "./jobs.js";
import "./helpers.js";
import "./collections.js";
import "./objects.js";
import "./arrays.js";
import "./strings.js";
import "./json.js";
import "./date.js";
import "./intl.js";
import "./bytes.js";
import "./url.js";
import "./timers.js";
import "./fetch.js";

import { callsPending, closeCalls, reply } from "./calls.js";
import { G, define, host, isObject, nativeEval } from "./core.js";
import { failureText, internalFailure } from "./failure.js";
import { drain, jobsPending } from "./jobs.js";
import { nativeParse, nativeStringify } from "./json.js";
import { setLoaded } from "./messages.js";
import { require } from "./modules.js";
import { dropRandomPool } from "./objects.js";
import { createNango } from "./sdk.js";
import { fire, startTimers, timersPending } from "./timers.js";

const MAX_OUTPUT = 2097152;
const TYPES = { action: "action", sync: "sync", webhook: "sync", event: "onEvent" };

let definition;
let ended = false;

function finish(ok, payload) {
	if (ended) return;
	ended = true;
	closeCalls();
	host.done(ok, payload);
}

// The JSON of what exec returned.  Throws an error that names the reason when there is none.
function outputText(result) {
	let text;
	try {
		text = nativeStringify(result);
	} catch (error) {
		const why = error instanceof Error ? error.message : "an error was thrown while it was read";
		throw new Error(`The output of the function is not JSON: ${why.indexOf("Converting circular") === 0 ? "it refers to itself" : why}`);
	}
	if (text === undefined) return "";
	if (text.length * 3 > MAX_OUTPUT) {
		const size = host.utf8Encode(text).length;
		if (size > MAX_OUTPUT) {
			throw new Error(`The output of the function is too large: ${size} bytes, the maximum is ${MAX_OUTPUT}`);
		}
	}
	return text;
}

function succeed(kind, result) {
	if (kind !== "action") {
		finish(true, "true");
		return;
	}
	let text;
	try {
		text = outputText(result);
	} catch (error) {
		finish(false, failureText(error));
		return;
	}
	finish(true, text);
}

function entry(kind) {
	const type = TYPES[kind];
	if (type === undefined) throw new Error(`There is no kind of run named "${String(kind)}"`);
	if (!isObject(definition)) {
		throw new Error("The module exports no function: export default createAction, createSync or createOnEvent");
	}
	if (definition.type !== type) {
		throw new Error(`The function is of type "${String(definition.type)}", it was run as "${type}"`);
	}
	const name = kind === "webhook" ? "onWebhook" : "exec";
	if (typeof definition[name] !== "function") throw new Error(`The function has no ${name}`);
	return name;
}

function begin(kind, inputText, contextText) {
	const context = nativeParse(contextText);
	const given = inputText === "" || inputText === undefined ? undefined : JSON.parse(inputText);
	const nango = createNango(kind, context);
	const name = entry(kind);
	if (kind === "action") return definition[name](nango, given || {});
	return kind === "webhook" ? definition[name](nango, given) : definition[name](nango);
}

// Parses once what each run would parse first, so that the frozen heap has it.
function warm(schema) {
	try {
		if (isObject(schema) && typeof schema.safeParse === "function") schema.safeParse(undefined);
	} catch (error) {
		// A schema that throws on this value says so again in the run, if it is used there.
	}
}

const sluice = {
	load(code, fileName, functionName, kindHint) {
		setLoaded(fileName, code);
		const module = { exports: {} };
		try {
			const wrapper = nativeEval(`(function (exports, require, module) {${code}\n})`);
			wrapper.call(module.exports, module.exports, require, module);
			drain();
			const exported = module.exports;
			definition = isObject(exported) && exported.default !== undefined ? exported.default : exported;
			if (kindHint !== undefined && kindHint !== "") entry(kindHint);
		} catch (error) {
			throw error instanceof Error ? error : new Error(nativeStringify(error));
		}
		if (isObject(definition)) {
			warm(definition.input);
			warm(definition.output);
		}
	},
	run(kind, inputText, contextText) {
		dropRandomPool();
		startTimers();
		let result;
		try {
			result = begin(kind, inputText, contextText);
		} catch (error) {
			finish(false, failureText(error));
			return;
		}
		Promise.resolve(result).then(
			(value) => succeed(kind, value),
			(error) => finish(false, failureText(error)),
		);
	},
	reply(id, ok, metaText, body) {
		if (!ended) reply(id, ok, metaText, body);
	},
	timer(id) {
		if (ended) return;
		try {
			fire(id);
		} catch (error) {
			finish(false, failureText(error));
		}
	},
	drain() {
		if (!ended) drain();
	},
	idle() {
		return !ended && !jobsPending() && !timersPending() && !callsPending();
	},
	deadlock() {
		const message = "deadlock: the function waits for a promise that nothing can settle";
		finish(false, nativeStringify(internalFailure(message)));
	},
};

// Bundling renames what would hide a global of the same name.
[
	...["AggregateError", "Array", "BigInt", "Buffer", "Date", "Function", "Headers", "Map", "Promise", "Response", "Set"],
	...["Number", "TextDecoder", "TextEncoder", "URL", "URLSearchParams", "WeakMap", "WeakSet"],
	...["atob", "btoa", "clearInterval", "clearTimeout", "eval", "parseFloat", "parseInt", "setInterval", "setTimeout"],
].forEach((name) => Object.defineProperty(G[name], "name", { value: name, configurable: true }));

["CBOR", "Duktape", "alert", "performance", "print", "require"].forEach((name) => {
	delete G[name];
});
delete G.__host;
define(G, "__sluice", sluice);
