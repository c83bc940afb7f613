// Error constructors that a lowered `class X extends Error` can call: they answer a real error whose
// prototype is the caller's, so that instanceof, name, message and stack hold.  Stacks read as V8's.
import { G, define, isObject } from "./core.js";
import { FRAME, USER_FILE, loaded, rawStack } from "./messages.js";
import { iterate } from "./symbols.js";

export { rawStack };

const getPrototypeOf = Object.getPrototypeOf;

// A table at the end of the compiled code (compiler/lib/maps.mjs), or "".
function tableOf(name) {
	const mark = `//# ${name}=`;
	const at = loaded.text.lastIndexOf(mark);
	if (at < 0) return "";
	const end = loaded.text.indexOf("\n", at);
	return loaded.text.slice(at + mark.length, end < 0 ? loaded.text.length : end);
}

// The entry of a line, the differences of those before it summed up: { line, column, file } or null.
function entryOf(entries, line) {
	const list = entries.split(",", line);
	let found = null;
	let count = 0;
	let file = 0;
	for (let i = 0; i < list.length; i++) {
		if (list[i] === "") continue;
		if (list[i] === "-") {
			found = null;
			continue;
		}
		const part = list[i].split(":");
		count += Number(part[0]);
		if (part[2] !== undefined) file = Number(part[2]);
		found = { line: count, column: parseInt(part[1], 10), file };
	}
	return found;
}

function position(line) {
	const found = entryOf(tableOf("lines"), line);
	return found === null ? String(line) : `${found.line}:${found.column}`;
}

// The lines of compiled code that an engine's stack text goes through, innermost first.
function userLines(text) {
	const out = [];
	const lines = String(text).split("\n");
	for (let i = 0; i < lines.length; i++) {
		const match = FRAME.exec(lines[i]);
		if (match && match[2] === USER_FILE && match[1] !== "eval") out.push(Number(match[3]));
	}
	return out;
}

// Where an error comes from in what its author wrote: ["actions/x.ts:12:5"], innermost first.
export function sourcePositions(error, most) {
	const table = tableOf("typescript");
	const at = table.indexOf(";");
	if (at < 0) return [];
	const files = table.slice(0, at).split("|");
	const out = [];
	const lines = userLines(rawStack(error));
	for (let i = 0; i < lines.length && out.length < most; i++) {
		const found = entryOf(table.slice(at + 1), lines[i]);
		if (found === null || files[found.file] === undefined) continue;
		const text = `${decodeURIComponent(files[found.file])}:${found.line}:${found.column}`;
		if (out[out.length - 1] !== text) out.push(text);
	}
	return out;
}

// The customer's frames of an engine's stack text, as "at name (file:line:column)".
export function userFrames(text) {
	const lines = String(text).split("\n");
	const out = [];
	let anonymous = -1;
	for (let i = 0; i < lines.length; i++) {
		const match = FRAME.exec(lines[i]);
		if (!match || match[2] !== USER_FILE || match[1] === "eval") continue;
		const where = `${loaded.file}:${position(Number(match[3]))}`;
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

Object.defineProperty(G.Error.prototype, "stack", {
	configurable: true,
	enumerable: false,
	get() {
		const text = rawStack(this);
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
// An error records where it was made; anything else gets a text.
define(G.Error, "captureStackTrace", function captureStackTrace(object) {
	if (!(object instanceof G.Error)) define(object, "stack", new G.Error(object.message).stack.replace(/^Error/, String(object.name || "Error")));
});

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

