// Node's errors for arguments that a function cannot take.
import { define } from "./core.js";

function coded(error, code) {
	error.code = code;
	return error;
}

// What Node says that it received.
function received(value) {
	if (value === null || value === undefined) return String(value);
	if (typeof value === "function") return `function ${value.name}`;
	if (typeof value === "object") {
		const made = value.constructor;
		return made !== undefined && made.name ? `an instance of ${made.name}` : "[Object: null prototype] {}";
	}
	const text = String(value);
	if (typeof value !== "string") return `type ${typeof value} (${text})`;
	return `type string ('${text.length > 28 ? `${text.slice(0, 25)}...` : text}')`;
}

// what: '"size" argument must be of type number'
export function wrongType(what, value) {
	return coded(new TypeError(`The ${what}. Received ${received(value)}`), "ERR_INVALID_ARG_TYPE");
}

export function outOfRange(name, range, value) {
	let shown = String(value);
	if (Number.isInteger(value) && Math.abs(value) > 4294967296) shown = shown.replace(/\B(?=(\d{3})+$)/g, "_");
	return coded(new RangeError(`The value of "${name}" is out of range. It must be ${range}. Received ${shown}`), "ERR_OUT_OF_RANGE");
}

export function invalidValue(name, shown) {
	return coded(new TypeError(`The argument '${name}' is invalid. Received ${shown}`), "ERR_INVALID_ARG_VALUE");
}

// A range error in words of its own.
export const rangeError = (text, code) => coded(new RangeError(text), code);

function checkOffset(offset, most) {
	if (typeof offset !== "number") throw wrongType('"offset" argument must be of type number', offset);
	if (!Number.isInteger(offset)) throw outOfRange("offset", "an integer", offset);
	if (most < 0) throw rangeError("Attempt to access memory outside buffer bounds", "ERR_BUFFER_OUT_OF_BOUNDS");
	if (offset < 0 || offset > most) throw outOfRange("offset", `>= 0 and <= ${most}`, offset);
}

function checkSize(size) {
	if (typeof size !== "number") throw wrongType('"byteLength" argument must be of type number', size);
	if (!(size >= 1 && size <= 6)) throw outOfRange("byteLength", ">= 1 and <= 6", size);
}

function checkValue(value, size, isSigned) {
	const count = isSigned ? Math.pow(2, 8 * size - 1) : Math.pow(2, 8 * size);
	const least = isSigned ? -count : 0;
	if (!(value > count - 1 || value < least)) return;
	const range = size > 3 && size !== 4 ? `>= ${isSigned ? `-(2 ** ${8 * size - 1})` : 0} and < 2 ** ${isSigned ? 8 * size - 1 : 8 * size}` : `>= ${least} and <= ${count - 1}`;
	throw outOfRange("value", range, value);
}

const METHOD = /^(read|write)(U?)(Int|Float|Double)(8|16|32|)(LE|BE|)$/;

// Makes the methods of `proto` that read and write numbers refuse what Node's refuse: the engine's say less of why,
// and write what does not fit.
export function checkNumbers(proto) {
	Object.getOwnPropertyNames(proto).forEach((name) => {
		const match = METHOD.exec(name);
		if (match === null) return;
		const native = proto[name];
		const isSigned = match[2] === "";
		const isInteger = match[3] === "Int";
		const fixed = isInteger ? Number(match[4]) / 8 : match[3] === "Float" ? 4 : 8;
		const check = (bytes, offset, size) => {
			if (fixed === 0) checkSize(size);
			checkOffset(offset, bytes.length - (fixed || size));
		};
		if (match[1] === "read") {
			define(proto, name, function (offset, size) {
				const at = offset === undefined && fixed > 0 ? 0 : offset;
				check(this, at, size);
				return native.call(this, at, size);
			});
		} else {
			define(proto, name, function (value, offset, size) {
				const at = offset === undefined && fixed > 0 ? 0 : offset;
				if (fixed === 0) checkSize(size);
				if (isInteger) checkValue(value, fixed || size, isSigned);
				check(this, at, size);
				native.call(this, value, at, size);
				return at + (fixed || size);
			});
		}
	});
}
