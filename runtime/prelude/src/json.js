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
		throw new SyntaxError(message(source, error.message));
	}
}

function message(source, engine) {
	if (source === "") return "Unexpected end of JSON input";
	const at = /offset (\d+)/.exec(engine);
	const place = at === null ? source.length : Number(at[1]) - 1;
	if (place >= source.length) return "Unexpected end of JSON input";
	const shown = source.length > 40 ? `${source.slice(0, 40)}...` : source;
	return `Unexpected token '${source.charAt(place)}', "${shown}" is not valid JSON`;
}

replace(JSON, { parse, stringify: nativeStringify });
Object.defineProperty(JSON.stringify, "name", { value: "stringify", configurable: true });
Object.defineProperty(JSON, Symbol.toStringTag, { value: "JSON", configurable: true });

// The engine escapes the two line separators, the standard does not.
function nativeStringify(value, replacer, space) {
	const text = engineStringify(value, replacer, space);
	if (text === undefined || text.indexOf("\\u202") < 0) return text;
	return text.replace(/\\(?:\\|u202[89])/g, (found) =>
		found === "\\u2028" ? "\u2028" : found === "\\u2029" ? "\u2029" : found,
	);
}

// Text of a value whose objects have their keys in order.  The value came from JSON.parse.
export function sortedText(value) {
	if (Array.isArray(value)) return `[${value.map(sortedText).join(",")}]`;
	if (value === null || typeof value !== "object") return nativeStringify(value);
	const keys = Object.keys(value).sort();
	return `{${keys.map((key) => `${nativeStringify(key)}:${sortedText(value[key])}`).join(",")}}`;
}

export { nativeParse, nativeStringify };
