// The engine's words for what went wrong, put as V8 puts them: functions show them to their users.  V8 quotes the
// source, so does this: the line of compiled code that failed is looked up, which costs nothing until something fails.
import { G, define, hasOwn, hiddenKey, isObject, nativeEval } from "./core.js";

const nativeStack = Object.getOwnPropertyDescriptor(G.Error.prototype, "stack").get;

// The name the engine gives to code that went through eval: the customer's code, and only that.
export const USER_FILE = nativeEval("(function () {})").fileName;

// The loaded function: how its frames are printed, and its compiled code; set by the loader.
export const loaded = { file: "function.cjs", text: "" };

export const FRAME = /^\s*at (.*) \(([^()]*):(\d+)\)/;

// Where each line of the compiled code starts; made when the first error asks for it.
let starts = null;

export function setLoaded(file, text) {
	loaded.file = file;
	loaded.text = text;
	starts = null;
}

function lineText(number) {
	const text = loaded.text;
	if (starts === null) {
		starts = [0];
		for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
	}
	if (number < 1 || number > starts.length) return "";
	return text.slice(starts[number - 1], number < starts.length ? starts[number] - 1 : text.length);
}

// The line number of the innermost frame of the customer's code, or 0.
function lineOf(error) {
	const lines = String(nativeStack.call(error)).split("\n");
	for (let i = 1; i < lines.length; i++) {
		const match = FRAME.exec(lines[i]);
		if (match !== null && match[2] === USER_FILE) return Number(match[3]);
	}
	return 0;
}

const siteOf = (error) => lineText(lineOf(error));

const REAL_LINE = hiddenKey("line");
const NEAR = 60;

// The engine takes a call of what is no function for some instructions earlier than it is: the line is corrected
// to the next one that `pattern` fits.  Answers what the pattern's group holds, or null.
function findNear(error, pattern) {
	const first = lineOf(error);
	for (let line = first; first > 0 && line <= first + NEAR; line++) {
		const found = find(lineText(line), pattern);
		if (found === null) continue;
		if (line !== first) define(error, REAL_LINE, line);
		return found;
	}
	return null;
}

// The engine's stack text.
export function rawStack(error) {
	const text = nativeStack.call(error);
	if (typeof text !== "string" || !hasOwn(error, REAL_LINE)) return text;
	return text.replace(`(${USER_FILE}:${lineOf(error)})`, `(${USER_FILE}:${error[REAL_LINE]})`);
}

// An expression of compiled code as it was written.
function written(expression) {
	let text = expression.trim();
	if (/^\(?_[a-z]\w*\.sent\(\)\)?$/.test(text)) return "(intermediate value)";
	text = text.replace(/^\(?_[a-z]\w*\.sent\(\)\)?(?=[.[])/, "(intermediate value)");
	text = text.replace(/\b_this\b/g, "this").replace(/\b([A-Za-z]\w*)_1\b/g, "$1");
	return text.replace(/\([^()]*[^().\s][^()]*\)(?=[.[])/g, (call) => (call === "(intermediate value)" ? call : "(...)"));
}

const plainName = /^[A-Za-z_$][\w$]*$/;
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
// What may stand before a call or a read: names, members, indices, calls without calls in them.
const CHAIN = "((?:\\([\\w$]+\\.sent\\(\\)\\)|[\\w$]+)(?:\\.[\\w$]+|\\[[^\\[\\]]*\\]|\\([^()]*\\))*)";

function find(line, pattern) {
	const match = new RegExp(pattern).exec(line);
	return match === null ? null : match[1];
}

function callee(error, property) {
	if (property === null) {
		return find(siteOf(error), `(?:^|[^\\w$.])(?!return\\b|function\\b|if\\b|for\\b|while\\b|new\\b|__)${CHAIN}\\(`);
	}
	const owner = findNear(error, `${CHAIN}\\s*\\.${escaped(property)}\\(`);
	if (owner !== null) {
		// "f?.()" and "super.f()" are compiled to f.call(..).
		if (property !== "call") return `${owner}.${property}`;
		return find(siteOf(error), `\\(${owner} = ([^()]*)\\) === null`) || owner;
	}
	const by = findNear(error, `([\\w$.]+\\[[^\\[\\]]+\\])\\(`);
	if (by === null) return null;
	const text = /^(.*)\[(["'])(.*)\2\]$/.exec(by);
	return text === null ? by : `${text[1]}.${text[3]}`;
}

// "[object Object]" of the engine is "#<Object>" of V8.
const shownValue = (text) => text.replace(/^\[object (\w+)\]$/, "#<$1>").replace(/^'(.*)'$/, "$1");

function notCallable(error, text) {
	const match = /^(.*) not callable(?: \(property (?:'([^]*)'|(\S+)) of ([^]*)\))?$/.exec(text);
	if (match === null) return null;
	const property = match[2] === undefined ? match[3] : match[2];
	const isNew = /\bnew\b/.test(siteOf(error)) && property === undefined;
	if (isNew) {
		const made = find(siteOf(error), `\\bnew ${CHAIN.replace("|\\([^()]*\\)", "")}\\(`) || find(siteOf(error), "\\bnew \\(([^()]*)\\)\\(");
		if (made !== null) return `${written(made)} is not a constructor`;
	}
	const called = callee(error, property === undefined ? null : property);
	if (called !== null) return `${written(called)} is not a function`;
	if (property === undefined) return `${shownValue(match[1])} is not a function`;
	return `(intermediate value).${property} is not a function`;
}

const SYMBOL = /^\[Symbol (?:wellknown|local|global) '\?([^?]*)\?[^]*\]$/;

function keyText(text) {
	const symbol = SYMBOL.exec(text);
	if (symbol !== null) return `Symbol(${symbol[1]})`;
	return text.charAt(0) === "'" ? text.slice(1, -1) : text;
}

// `const { a, b } = value` is compiled to reads of a temporary variable; what it was taken from, or null.
function destructured(error, key, value) {
	if (!plainName.test(key)) return null;
	const line = lineOf(error);
	const text = lineText(line);
	// The compiler marks what one name is taken from.
	const marked = find(text, `\\(\\(((?:[^()]|\\([^()]*\\))*)\\)\\)\\.${escaped(key)}\\b`);
	if (marked !== null) return marked === "void 0" ? "undefined" : marked;
	const temporary = find(text, `\\b(_[a-z]\\w*)\\.${escaped(key)}\\b`);
	if (temporary === null) return null;
	const from = find(text, `\\b${temporary} = ((?:[\\w$.]|\\[[^\\]]*\\]|\\([^()]*(?:\\([^()]*\\))?[^()]*\\))+),`);
	if (from !== null) return from === "void 0" ? "undefined" : from.replace(/^\(\((.*)\)\)$/, "$1");
	const isParameter = new RegExp(`function [\\w$]*\\((?:[^()]*, )?${temporary}[,)]`).test(lineText(line - 1) + text);
	if (!isParameter) return null;
	return value === "null" ? "object null" : value;
}

function missing(error, text) {
	const match = /^cannot (read|write) property ([^]*) of (undefined|null)$/.exec(text);
	if (match === null) return null;
	const key = keyText(match[2]);
	if (match[1] === "write") return `Cannot set properties of ${match[3]} (setting '${key}')`;
	if (key === "Symbol(Symbol.iterator)") {
		return `${match[3] === "null" ? "object null" : "undefined"} is not iterable (cannot read property ${key})`;
	}
	const from = destructured(error, key, match[3]);
	if (from !== null) {
		const source = written(from).replace(/([\w$\])])\([^()]*\)$/, "$1(...)");
		return `Cannot destructure property '${key}' of '${source}' as it is ${match[3]}.`;
	}
	return `Cannot read properties of ${match[3]} (reading '${key}')`;
}

// The member that the failing line assigns to or deletes.
function member(error, pattern) {
	return find(siteOf(error), pattern);
}

const assigned = (error) => member(error, "[\\w$\\])]\\.([\\w$]+) (?:[-+*/%&|^]|<<|>>>?)?= ");
const holder = (error) => (/\.length (?:[-+])?= /.test(siteOf(error)) ? "[object Array]" : "#<Object>");

const RANGES = {
	toFixed: "toFixed() digits argument must be between 0 and 100",
	toPrecision: "toPrecision() argument must be between 1 and 100",
	toExponential: "toExponential() argument must be between 0 and 100",
	toString: "toString() radix argument must be between 2 and 36",
};
const outside = (method) => (method === null ? null : RANGES[method]);

const EXACT = {
	"not extensible": (error) => {
		const name = assigned(error);
		return name === null ? "Cannot add property, object is not extensible" : `Cannot add property ${name}, object is not extensible`;
	},
	"not writable": (error) => {
		const name = assigned(error);
		return name === null ? "Cannot assign to read only property of object" : `Cannot assign to read only property '${name}' of object '${holder(error)}'`;
	},
	"not configurable": (error) => {
		const name = member(error, "delete [^;]*\\.([\\w$]+)");
		return name === null ? "Cannot delete property of object" : `Cannot delete property '${name}' of #<Object>`;
	},
	"setter undefined": (error) => {
		const name = assigned(error);
		return name === null ? "Cannot set property of object which has only a getter" : `Cannot set property ${name} of #<Object> which has only a getter`;
	},
	"invalid length": () => "Invalid array length",
	"invalid array length": () => "Invalid array length",
	"callstack limit": () => "Maximum call stack size exceeded",
	"C stack depth limit": () => "Maximum call stack size exceeded",
	"coercion to primitive failed": () => "Cannot convert object to primitive value",
	"not object coercible": () => "Cannot convert undefined or null to object",
	"cannot string coerce Symbol": () => "Cannot convert a Symbol value to a string",
	"cannot number coerce Symbol": () => "Cannot convert a Symbol value to a number",
	"encode recursion limit": () => "Maximum call stack size exceeded",
	"decode recursion limit": () => "Maximum call stack size exceeded",
	"expected Date": () => "this is not a Date object.",
	"invalid args": (error) => {
		const method = find(siteOf(error), "\\.(startsWith|endsWith|includes)\\(");
		return method === null ? null : `First argument to String.prototype.${method} must not be a regular expression`;
	},
	"invalid input": (error) => (error instanceof G.URIError ? "URI malformed" : null),
	"Invalid Date": () => "Invalid time value",
	"number outside range": (error) => outside(member(error, "\\.(to(?:Fixed|Precision|Exponential|String))\\(")),
	"invalid instanceof rval": () => "Right-hand side of 'instanceof' is not callable",
};

function translate(error, text) {
	if (hasOwn(EXACT, text)) return EXACT[text](error);
	let match = /^identifier '([^]*)' undefined$/.exec(text);
	if (match !== null) return `${match[1]} is not defined`;
	match = /^function required, found ([^]*) \(stack index -?\d+\)$/.exec(text);
	if (match !== null) return `${shownValue(match[1])} is not a function`;
	match = /^cannot write property (\S+) of (?:'([^]*)'|(\d\S*|true|false))$/.exec(text);
	if (match !== null) {
		const key = keyText(match[1]);
		return match[2] === undefined
			? `Cannot create property '${key}' on ${match[3] === "true" || match[3] === "false" ? "boolean" : "number"} '${match[3]}'`
			: `Cannot create property '${key}' on string '${match[2]}'`;
	}
	match = /^([^]*) not constructable$/.exec(text);
	if (match !== null) {
		const made = find(siteOf(error), `\\bnew ${CHAIN.replace("|\\([^()]*\\)", "")}\\(`);
		return `${made === null ? shownValue(match[1]) : written(made)} is not a constructor`;
	}
	return missing(error, text) || notCallable(error, text);
}

// What the engine says starts in lower case or with a value; V8 and people start in upper case.
const ENGINE = /^[a-z]| not (?:callable|constructable)|^C stack|^Invalid Date$/;

// The helpers of lowered code throw for an expression they cannot see: "for (const x of list)".
export function notIterable(value, helper) {
	const error = new TypeError("");
	const line = siteOf(error);
	const text = find(line, `${helper}\\(((?:[^(),]|\\((?:[^()]|\\([^()]*\\))*\\))+)[,)]`);
	const shown = value === null ? "null" : value === undefined ? "undefined" : typeof value;
	// "const [a] = list" names the list; of a member, a parameter or an element V8 shows the value.
	if (text !== null && !/^[A-Za-z$][\w$]*$/.test(text) && find(line, `${helper}\\(${escaped(text)}(, \\d+)\\)`) !== null) {
		const kind = value === null ? "object null" : value === undefined || isObject(value) ? shown : `${shown} ${value}`;
		define(error, "message", `${kind} is not iterable (cannot read property Symbol(Symbol.iterator))`);
		return error;
	}
	let message = `${text === null ? shown : written(text === "void 0" ? "undefined" : text)} is not iterable`;
	if (helper === "__read" && /\.apply\(.*__spreadArray\(/.test(line)) {
		if (value === null || value === undefined) message += ` (cannot read property ${shown})`;
		else message = "Spread syntax requires ...iterable[Symbol.iterator] to be a function";
	}
	define(error, "message", message);
	return error;
}

// Called for each error the engine makes; whatever it throws would take the error's place.
G.Duktape.errCreate = function (error) {
	try {
		const text = error.message;
		if (typeof text !== "string" || !ENGINE.test(text) || !hasOwn(error, "message")) return error;
		const better = translate(error, text);
		if (better !== null && better !== undefined) define(error, "message", better);
	} catch (again) {
		return error;
	}
	return error;
};
