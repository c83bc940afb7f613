// Strings: what ES2015 to ES2023 added, collation and normal forms for Latin text.
import { G, define, fill, replace, toInteger } from "./core.js";
import { iteratorKind, makeIterator } from "./symbols.js";
// Made by the build from the Unicode tables of Node: "À" -> "A\u0300" and so on, as one text.
import { decompositions } from "virtual:decompositions";

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
			if (!pattern.global) throw new TypeError("replaceAll must be called with a global RegExp");
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

// Normal forms.  The tables are read on the first use, which most functions never make.
let decomposed = null;
let composed = null;

function readForms() {
	decomposed = Object.create(null);
	composed = Object.create(null);
	const entries = decompositions.split(" ");
	for (let i = 0; i < entries.length; i++) {
		const from = entries[i].charAt(0);
		decomposed[from] = entries[i].slice(1);
		composed[entries[i].slice(1)] = from;
	}
}

const ASCII = /^[\x00-\x7f]*$/;
const MARKED = /[\s\S][\u0300-\u036f]+/g;

function decompose(text) {
	if (decomposed === null) readForms();
	return text.replace(/[\u00c0-\u1eff]/g, (c) => decomposed[c] || c);
}

function compose(text) {
	return decompose(text).replace(MARKED, (cluster) => {
		let out = cluster.charAt(0);
		let rest = "";
		for (let i = 1; i < cluster.length; i++) {
			const full = decomposed[out] || out;
			const joined = composed[full + cluster.charAt(i)];
			if (joined !== undefined && rest === "") out = joined;
			else rest += cluster.charAt(i);
		}
		return out + rest;
	});
}

fill(String.prototype, {
	normalize(form) {
		const text = String(this);
		const wanted = form === undefined ? "NFC" : String(form);
		if (!/^NFK?[CD]$/.test(wanted)) {
			throw new RangeError(`The normalization form should be one of NFC, NFD, NFKC, NFKD.`);
		}
		if (ASCII.test(text)) return text;
		return wanted.charAt(wanted.length - 1) === "D" ? decompose(text) : compose(text);
	},
});

// Collation as the root locale orders it: punctuation, digits, letters; then accents; then case, lower first.
const ORDER = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789";

function weight(c) {
	const unit = c.charCodeAt(0);
	if (unit <= 32) return unit;
	const at = ORDER.indexOf(c);
	return at < 0 ? unit + 256 : at + 64;
}

// Letters that count as others, told apart like accents.
const VARIANTS = { ß: "ss", ẞ: "SS", æ: "ae", Æ: "AE", œ: "oe", Œ: "OE", ø: "o", Ø: "O", đ: "d", Đ: "D", ł: "l", Ł: "L" };

function strip(text) {
	if (ASCII.test(text)) return text;
	return decompose(text)
		.replace(/[\u0300-\u036f]/g, "")
		.replace(/[ßẞæÆœŒøØđĐłŁ]/g, (c) => VARIANTS[c]);
}

function compareBase(a, b, numeric) {
	const x = numeric ? a.match(/\d+|[\s\S]/g) || [] : a;
	const y = numeric ? b.match(/\d+|[\s\S]/g) || [] : b;
	const length = Math.min(x.length, y.length);
	for (let i = 0; i < length; i++) {
		if (x[i] === y[i]) continue;
		if (numeric && /^\d/.test(x[i]) && /^\d/.test(y[i])) {
			const difference = Number(x[i]) - Number(y[i]);
			if (difference !== 0) return difference < 0 ? -1 : 1;
			continue;
		}
		const difference = weight(x[i]) - weight(y[i]);
		if (difference !== 0) return difference < 0 ? -1 : 1;
	}
	return x.length === y.length ? 0 : x.length < y.length ? -1 : 1;
}

export function collate(a, b, options) {
	if (a === b) return 0;
	const level = (options && options.sensitivity) || "variant";
	const x = strip(a);
	const y = strip(b);
	const base = compareBase(x.toLowerCase(), y.toLowerCase(), Boolean(options && options.numeric));
	if (base !== 0 || level === "base") return base;
	if (level !== "case") {
		const accents = a === x && b === y ? 0 : compareUnits(decompose(a).toLowerCase(), decompose(b).toLowerCase());
		if (accents !== 0 || level === "accent") return accents;
	}
	for (let i = 0; i < x.length; i++) {
		if (x.charAt(i) !== y.charAt(i)) return x.charAt(i) === x.charAt(i).toLowerCase() ? -1 : 1;
	}
	return 0;
}

function compareUnits(a, b) {
	return a < b ? -1 : a > b ? 1 : 0;
}

replace(String.prototype, {
	localeCompare(that, locale, options) {
		return collate(String(this), String(that), options);
	},
});

