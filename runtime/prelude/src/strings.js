// Strings: what ES2015 to ES2023 added; order, normal forms and case come from the host.
import { G, define, fill, host, isObject, replace, toInteger } from "./core.js";
import { iteratorKind, makeIterator } from "./symbols.js";

const RegExp = G.RegExp;

function pad(text, length, filler) {
	const wanted = toInteger(length) - text.length;
	const unit = filler === undefined ? " " : String(filler);
	if (wanted <= 0 || unit === "") return "";
	return unit.repeat(Math.ceil(wanted / unit.length)).slice(0, wanted);
}

// The replacement text of String.prototype.replace for a plain match.
function expand(template, text, match, at) {
	if (template.indexOf("$") < 0) return template;
	return template.replace(/\$([$&`'])/g, (whole, what) => {
		if (what === "$") return "$";
		if (what === "&") return match;
		return what === "`" ? text.slice(0, at) : text.slice(at + match.length);
	});
}

const RegExpStringIterator = iteratorKind("RegExp String Iterator");
const space = "[\\s\\ufeff\\xa0]+";
const leading = new RegExp(`^${space}`);
const trailing = new RegExp(`${space}$`);

fill(String.prototype, {
	at(index) {
		const at = toInteger(index);
		const where = at < 0 ? this.length + at : at;
		return where < 0 || where >= this.length ? undefined : this.charAt(where);
	},
	padStart(length, filler) {
		return pad(String(this), length, filler) + String(this);
	},
	padEnd(length, filler) {
		return String(this) + pad(String(this), length, filler);
	},
	trimStart() {
		return String(this).replace(leading, "");
	},
	trimEnd() {
		return String(this).replace(trailing, "");
	},
	matchAll(pattern) {
		const text = String(this);
		if (pattern instanceof RegExp && !pattern.global) {
			throw new TypeError("String.prototype.matchAll called with a non-global RegExp argument");
		}
		const regex = new RegExp(pattern instanceof RegExp ? pattern.source : pattern, pattern.flags || "g");
		regex.lastIndex = pattern.lastIndex || 0;
		return makeIterator(RegExpStringIterator, () => {
			const match = regex.exec(text);
			if (match === null) return { value: undefined, done: true };
			if (match[0] === "") regex.lastIndex++;
			return { value: match, done: false };
		});
	},
	replaceAll(pattern, replacement) {
		const text = String(this);
		if (pattern instanceof RegExp) {
			if (!pattern.global) throw new TypeError("String.prototype.replaceAll called with a non-global RegExp argument");
			return text.replace(pattern, replacement);
		}
		const wanted = String(pattern);
		const call = typeof replacement === "function";
		const template = call ? "" : String(replacement);
		let out = "";
		let from = 0;
		for (let at = text.indexOf(wanted); at >= 0; ) {
			const by = call ? String(replacement(wanted, at, text)) : expand(template, text, wanted, at);
			out += text.slice(from, at) + by;
			from = at + wanted.length;
			if (wanted === "" && at >= text.length) break;
			at = text.indexOf(wanted, wanted === "" ? at + 1 : from);
		}
		return out + text.slice(from);
	},
	isWellFormed() {
		return toWellFormed(String(this)) === String(this);
	},
	toWellFormed() {
		return toWellFormed(String(this));
	},
});
define(String.prototype, "trimLeft", String.prototype.trimStart);
define(String.prototype, "trimRight", String.prototype.trimEnd);

function toWellFormed(text) {
	return text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, (found) =>
		found.length === 2 ? found : "\ufffd",
	);
}

fill(String, {
	raw(parts) {
		let out = "";
		for (let i = 0; i < parts.raw.length; i++) {
			out += parts.raw[i];
			if (i + 1 < parts.raw.length && i + 1 < arguments.length) out += arguments[i + 1];
		}
		return out;
	},
});
delete String.fromBufferRaw;

const ASCII = /^[\x00-\x7f]*$/;
const FORMS = ["NFC", "NFD", "NFKC", "NFKD"];

// The language of a locale argument, for what differs by language; no such tag throws, as in Node.
export function languageOf(locale) {
	const tag = Array.isArray(locale) ? locale[0] : locale;
	if (tag === undefined) return "en";
	if (typeof tag !== "string" && !isObject(tag)) throw new TypeError("Incorrect locale information provided");
	if (!/^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*$/.test(String(tag))) throw new RangeError(`Incorrect locale information provided`);
	return String(tag).split("-")[0].toLowerCase();
}

const LEVELS = ["base", "accent", "case", "variant"];

// The order of two texts as English has it, which is that of most languages.
export function collate(a, b, options) {
	if (a === b) return 0;
	const level = options && options.sensitivity !== undefined ? LEVELS.indexOf(String(options.sensitivity)) : 3;
	if (level < 0) {
		throw new RangeError(
			`Value ${String(options.sensitivity)} out of range for String.prototype.localeCompare options property sensitivity`,
		);
	}
	const order = host.collate(a, b, level, Boolean(options && options.numeric));
	if (order !== 0 && options && options.caseFirst === "upper" && host.collate(a, b, 1, Boolean(options.numeric)) === 0) return -order;
	return order;
}

const nativeUpper = String.prototype.toUpperCase;
const nativeLower = String.prototype.toLowerCase;
const nativeRepeat = String.prototype.repeat;

replace(String.prototype, {
	repeat(count) {
		if (count < 0 || count === Infinity) throw new RangeError(`Invalid count value: ${String(count)}`);
		return nativeRepeat.call(this, count);
	},
	localeCompare(that, locale, options) {
		if (locale !== undefined) languageOf(locale);
		return collate(String(this), String(that), options);
	},
	normalize(form) {
		const text = String(this);
		const wanted = FORMS.indexOf(form === undefined ? "NFC" : String(form));
		if (wanted < 0) throw new RangeError("The normalization form should be one of NFC, NFD, NFKC, NFKD.");
		return ASCII.test(text) ? text : host.normalize(text, wanted);
	},
	toUpperCase() {
		return ASCII.test(this) ? nativeUpper.call(this) : host.changeCase(String(this), true, "");
	},
	toLowerCase() {
		return ASCII.test(this) ? nativeLower.call(this) : host.changeCase(String(this), false, "");
	},
	toLocaleUpperCase(locale) {
		return host.changeCase(String(this), true, languageOf(locale));
	},
	toLocaleLowerCase(locale) {
		return host.changeCase(String(this), false, languageOf(locale));
	},
});
