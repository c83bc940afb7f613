// JSON.parse rounds as the standard says.  The engine rounds exact halves up, which shows in whole numbers
// beyond 2^53 (identifiers), so a text with such digits is looked at again.
import { host, replace } from "./core.js";

const nativeParse = JSON.parse;
const engineStringify = JSON.stringify;
const LONG = /[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]/;
const TWO_53 = 9007199254740992;

// The decimal digits of m * 2^e (m a whole number below 2^53), minus `less` units of 2^(e-1).
function decimal(m, e, less) {
	const limbs = [];
	for (let rest = m; rest > 0; rest = Math.floor(rest / 1e7)) limbs.push(rest % 1e7);
	double(limbs);
	limbs[0] -= less;
	for (let i = 0; limbs[i] < 0; i++) {
		limbs[i] += 1e7;
		limbs[i + 1]--;
	}
	for (let i = 0; i < e - 1; i++) double(limbs);
	while (limbs.length > 1 && limbs[limbs.length - 1] === 0) limbs.pop();
	let text = String(limbs[limbs.length - 1]);
	for (let i = limbs.length - 2; i >= 0; i--) text += `000000${limbs[i]}`.slice(-7);
	return text;
}

function double(limbs) {
	let carry = 0;
	for (let i = 0; i < limbs.length; i++) {
		const twice = limbs[i] * 2 + carry;
		limbs[i] = twice % 1e7;
		carry = twice >= 1e7 ? 1 : 0;
	}
	if (carry) limbs.push(carry);
}

// `digits` was read as `value`: the number it should have been.
export function nearest(digits, value) {
	let m = value;
	let e = 0;
	while (m >= TWO_53) {
		m /= 2;
		e++;
	}
	if (e === 0 || m % 2 === 0 || decimal(m, e, 1) !== digits) return value;
	return (m - 1) * Math.pow(2, e);
}

// Whether the character at `at` is inside a string, known that it was not at `from`.
function insideString(text, from, at) {
	let inside = false;
	for (let i = text.indexOf('"', from); i >= 0 && i < at; i = text.indexOf('"', i + 1)) {
		let slashes = 0;
		while (text.charAt(i - 1 - slashes) === "\\") slashes++;
		if (!inside || slashes % 2 === 0) inside = !inside;
	}
	return inside;
}

// The text with each whole number that would be rounded up from a half replaced by the right neighbour.
function repair(text) {
	const number = /[0-9]{16,}/g;
	let out = "";
	let done = 0;
	for (let match = number.exec(text); match !== null; match = number.exec(text)) {
		const end = match.index + match[0].length;
		const after = text.charAt(end);
		if (match[0].length > 40 || after === "." || after === "e" || after === "E") continue;
		const value = nativeParse(match[0].replace(/^0+(?=\d)/, ""));
		const right = nearest(match[0], value);
		const before = text.charAt(match.index - 1);
		if (right === value || before === "." || insideString(text, done, match.index)) continue;
		out += text.slice(done, match.index) + right;
		done = end;
	}
	return out + text.slice(done);
}

// A C function would answer this faster; a runner that has one offers it.
const hasLong = typeof host.longDigits === "function" ? (text) => host.longDigits(text) : (text) => LONG.test(text);

function parse(text, reviver) {
	const source = String(text);
	try {
		return nativeParse(source.length > 15 && hasLong(source) ? repair(source) : source, reviver);
	} catch (error) {
		if (!(error instanceof SyntaxError)) throw error;
		throw new SyntaxError(complaint(source));
	}
}

// What V8 says of a text that is no JSON: it is read once more, up to the place where it goes wrong.
function complaint(source) {
	let at = 0;

	function fail(text) {
		throw { text: `${text} in JSON at position ${at}` };
	}
	function unexpected() {
		if (at >= source.length) throw { text: "Unexpected end of JSON input" };
		const c = source.charAt(at);
		if (c === '"') fail("Unexpected string");
		if (/[-0-9]/.test(c)) fail("Unexpected number");
		if (["undefined", "NaN", "Infinity", "[object Object]"].indexOf(source) >= 0) throw { text: `"${source}" is not valid JSON` };
		const isLong = source.length > 20;
		const from = isLong && at >= 10 ? at - 10 : 0;
		const to = isLong && at < source.length - 10 ? at + 10 : source.length;
		const shown = `${from > 0 ? "..." : ""}"${source.slice(from, to)}"${to < source.length ? "..." : ""}`;
		throw { text: `Unexpected token '${c}', ${shown} is not valid JSON` };
	}
	function space() {
		while (at < source.length && " \t\n\r".indexOf(source.charAt(at)) >= 0) at++;
	}
	const digit = () => /[0-9]/.test(source.charAt(at));
	function digits(otherwise) {
		if (!digit()) fail(otherwise);
		while (digit()) at++;
	}
	function number() {
		if (source.charAt(at) === "-") {
			at++;
			if (!digit()) fail("No number after minus sign");
		}
		if (source.charAt(at) === "0") {
			at++;
			if (digit()) fail("Unexpected number");
		}
		while (digit()) at++;
		if (source.charAt(at) === ".") {
			at++;
			digits("Unterminated fractional number");
		}
		if (/[eE]/.test(source.charAt(at))) {
			at++;
			if (/[-+]/.test(source.charAt(at))) at++;
			digits("Exponent part is missing a number");
		}
	}
	function string() {
		for (at++; source.charAt(at) !== '"'; at++) {
			if (at >= source.length) fail("Unterminated string");
			if (source.charAt(at) < " ") fail("Bad control character in string literal");
			if (source.charAt(at) !== "\\") continue;
			at++;
			if (at >= source.length) fail("Unterminated string");
			if (source.charAt(at) === "u") {
				for (let i = 0; i < 4; i++) if (!/[0-9a-fA-F]/.test(source.charAt(++at))) fail("Bad Unicode escape");
			} else if ('"\\/bfnrt'.indexOf(source.charAt(at)) < 0) {
				fail("Bad escaped character");
			}
		}
		at++;
	}
	function word(text) {
		for (let i = 0; i < text.length; i++, at++) if (source.charAt(at) !== text.charAt(i)) unexpected();
	}
	function list() {
		at++;
		space();
		if (source.charAt(at) !== "]") {
			for (;;) {
				value();
				space();
				if (source.charAt(at) === "]") break;
				if (source.charAt(at) !== ",") fail("Expected ',' or ']' after array element");
				at++;
			}
		}
		at++;
	}
	function object() {
		at++;
		space();
		if (source.charAt(at) !== "}") {
			if (source.charAt(at) !== '"') fail("Expected property name or '}'");
			for (let isFirst = true; ; isFirst = false) {
				string();
				space();
				if (source.charAt(at) !== ":") {
					if (!isFirst) unexpected();
					fail("Expected ':' after property name");
				}
				at++;
				value();
				space();
				if (source.charAt(at) === "}") break;
				if (source.charAt(at) !== ",") fail("Expected ',' or '}' after property value");
				at++;
				space();
				if (source.charAt(at) !== '"') fail("Expected double-quoted property name");
			}
		}
		at++;
	}
	function value() {
		space();
		const c = source.charAt(at);
		if (c === '"') string();
		else if (c === "{") object();
		else if (c === "[") list();
		else if (/[-0-9]/.test(c)) number();
		else if (c === "t") word("true");
		else if (c === "f") word("false");
		else if (c === "n") word("null");
		else unexpected();
	}

	try {
		value();
		space();
		if (at < source.length) throw { text: `Unexpected non-whitespace character after JSON at position ${at}` };
	} catch (found) {
		if (found.text !== undefined) return found.text;
	}
	return "The text is not valid JSON";
}

replace(JSON, { parse, stringify: nativeStringify });
Object.defineProperty(JSON.stringify, "name", { value: "stringify", configurable: true });
Object.defineProperty(JSON, Symbol.toStringTag, { value: "JSON", configurable: true });

// The engine escapes the two line separators, the standard does not; with lone surrogates it is the other way round.
function nativeStringify(value, replacer, space) {
	let text;
	try {
		text = engineStringify(value, replacer, space);
	} catch (error) {
		if (error instanceof TypeError && error.message === "cyclic input") throw new TypeError(circle(value));
		throw error;
	}
	if (text === undefined) return text;
	text = host.escapeLone(text);
	if (text.indexOf("\\u202") < 0) return text;
	return text.replace(/\\(?:\\|u202[89])/g, (found) =>
		found === "\\u2028" ? "\u2028" : found === "\\u2029" ? "\u2029" : found,
	);
}

const MAX_CIRCLE = 200;

// How a value refers to itself, in V8's words.
function circle(value) {
	const objects = [];
	const names = [];

	function search(object) {
		const start = objects.indexOf(object);
		if (start >= 0) return start;
		if (objects.length > MAX_CIRCLE) return -1;
		objects.push(object);
		const keys = Object.keys(object);
		for (let i = 0; i < keys.length; i++) {
			const member = object[keys[i]];
			if (member === null || typeof member !== "object") continue;
			names.push(Array.isArray(object) ? `index ${keys[i]}` : `property '${keys[i]}'`);
			const found = search(member);
			if (found >= 0) return found;
			names.pop();
		}
		objects.pop();
		return -1;
	}

	const start = search(value);
	const head = "Converting circular structure to JSON";
	if (start < 0) return head;
	const made = (object) => `object with constructor '${object.constructor ? object.constructor.name : "Object"}'`;
	const lines = [head, `    --> starting at ${made(objects[start])}`];
	for (let i = start + 1; i < objects.length; i++) {
		if (i > start + 1 && i < objects.length - 1) {
			if (i === start + 2) lines.push("    |     ...");
		} else {
			lines.push(`    |     ${names[i - 1]} -> ${made(objects[i])}`);
		}
	}
	lines.push(`    --- ${names[names.length - 1]} closes the circle`);
	return lines.join("\n");
}

// Text of a value whose objects have their keys in order.  The value came from JSON.parse.
export function sortedText(value) {
	if (Array.isArray(value)) return `[${value.map(sortedText).join(",")}]`;
	if (value === null || typeof value !== "object") return nativeStringify(value);
	const keys = Object.keys(value).sort();
	return `{${keys.map((key) => `${nativeStringify(key)}:${sortedText(value[key])}`).join(",")}}`;
}

export { nativeParse, nativeStringify };
