// Error constructors that a lowered `class X extends Error` can call: they answer a real error whose
// prototype is the caller's, so that instanceof, name, message and stack hold.  Stacks read as V8's.
import { G, define, isObject, nativeEval } from "./core.js";
import { iterate } from "./symbols.js";

const getPrototypeOf = Object.getPrototypeOf;
const nativeStack = Object.getOwnPropertyDescriptor(G.Error.prototype, "stack");

// The name the engine gives to code that went through eval: the customer's code, and only that.
const USER_FILE = nativeEval("(function () {})").fileName;

// How frames of the loaded function are printed; set by the loader.
export const frames = {
	file: "function.cjs",
	table: null,
	text: "",
};

// "//# lines=" at the end of the compiled code: see lineTable in compiler/lib/lower.mjs.
function readTable() {
	const at = frames.text.lastIndexOf("//# lines=");
	const table = [null];
	frames.text = "";
	if (at < 0) return table;
	const entries = frames.source.slice(at + 10).split(",");
	let line = 0;
	let last = null;
	for (let i = 0; i < entries.length; i++) {
		const pair = entries[i].split(":");
		if (pair.length === 2) {
			line += Number(pair[0]);
			last = `${line}:${parseInt(pair[1], 10)}`;
		}
		table.push(last);
	}
	return table;
}

function position(line) {
	if (frames.table === null) {
		frames.source = frames.text;
		frames.table = readTable();
		frames.source = "";
	}
	return frames.table[line] || String(line);
}

const FRAME = /^\s*at (.*) \(([^()]*):(\d+)\)/;

// The customer's frames of an engine's stack text, as "at name (file:line:column)".
export function userFrames(text) {
	const lines = String(text).split("\n");
	const out = [];
	let anonymous = -1;
	for (let i = 0; i < lines.length; i++) {
		const match = FRAME.exec(lines[i]);
		if (!match || match[2] !== USER_FILE || match[1] === "eval") continue;
		const where = `${frames.file}:${position(Number(match[3]))}`;
		if (match[1] === "[anon]") {
			// The body of an async method has lost its name on the way to ES5; the outermost one is exec's.
			anonymous = out.length;
			out.push(`at ${where}`);
		} else {
			out.push(`at ${match[1]} (${where})`);
		}
	}
	if (anonymous === out.length - 1 && anonymous >= 0) {
		out[anonymous] = `at Object.exec (${out[anonymous].slice(3)})`;
	}
	// A method and the state machine it was lowered to are two frames of one call.
	return out.filter((frame, i) => i === 0 || frame !== out[i - 1]);
}

export function rawStack(error) {
	return nativeStack.get.call(error);
}

Object.defineProperty(G.Error.prototype, "stack", {
	configurable: true,
	enumerable: false,
	get() {
		const text = nativeStack.get.call(this);
		if (typeof text !== "string") return text;
		const list = userFrames(text);
		const head = String(this);
		return list.length === 0 ? head : `${head}\n    ${list.join("\n    ")}`;
	},
	set(value) {
		define(this, "stack", value);
	},
});

function wrap(name) {
	const Native = G[name];
	const proto = Native.prototype;
	function Wrapper(message, options) {
		const error = message === undefined ? new Native() : new Native(message);
		if (isObject(options) && "cause" in options) define(error, "cause", options.cause);
		if (this instanceof Wrapper) {
			const wanted = getPrototypeOf(this);
			if (wanted !== proto) Object.setPrototypeOf(error, wanted);
		}
		return error;
	}
	Object.defineProperty(Wrapper, "name", { value: name, configurable: true });
	Object.defineProperty(Wrapper, "length", { value: 1, configurable: true });
	Object.defineProperty(Wrapper, "prototype", { value: proto, writable: false });
	define(proto, "constructor", Wrapper);
	define(G, name, Wrapper);
	return Wrapper;
}

const names = ["Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"];
for (let i = 0; i < names.length; i++) {
	const made = wrap(names[i]);
	if (i > 0) Object.setPrototypeOf(made, G.Error);
}
// Every error here records where it was made; there is nothing to add.
define(G.Error, "captureStackTrace", function captureStackTrace() {});

function AggregateError(errors, message, options) {
	const error = G.Error.call(this, message, options);
	if (!(this instanceof AggregateError)) Object.setPrototypeOf(error, AggregateError.prototype);
	const list = [];
	iterate(errors, (each) => list.push(each));
	define(error, "errors", list);
	return error;
}
AggregateError.prototype = Object.create(G.Error.prototype);
define(AggregateError.prototype, "constructor", AggregateError);
define(AggregateError.prototype, "name", "AggregateError");
define(AggregateError.prototype, "message", "");
Object.setPrototypeOf(AggregateError, G.Error);
define(G, "AggregateError", AggregateError);

// Code cannot be made from strings, as in the original.
function refuse() {
	throw new G.EvalError("Code generation from strings disallowed for this context");
}
function Function() {
	refuse();
}
Object.defineProperty(Function, "prototype", { value: G.Function.prototype, writable: false });
define(G.Function.prototype, "constructor", Function);
define(G, "Function", Function);
define(G, "eval", function () {
	refuse();
});

