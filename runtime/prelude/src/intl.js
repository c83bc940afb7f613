// toLocaleString and the part of Intl that functions use: numbers and dates in American English, in any zone.
import { G, define, host, isObject, replace } from "./core.js";
import { collate, languageOf } from "./strings.js";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
	...["January", "February", "March", "April", "May", "June"],
	...["July", "August", "September", "October", "November", "December"],
];
const SIGNS = {
	...{ USD: "$", EUR: "€", GBP: "£", JPY: "¥", INR: "₹", CNY: "CN¥", KRW: "₩", BRL: "R$", CAD: "CA$" },
	...{ AUD: "A$", MXN: "MX$", NZD: "NZ$", HKD: "HK$", TWD: "NT$", ILS: "₪", VND: "₫", XAF: "FCFA", PHP: "₱" },
};
const WHOLE_CURRENCIES = ["JPY", "KRW", "VND", "CLP", "ISK", "PYG", "UGX", "XAF", "XOF"];

function digitsOption(options, name, least, most, fallback) {
	if (options[name] === undefined) return fallback;
	const value = Number(options[name]);
	if (!(value >= least && value <= most)) throw new RangeError(`${name} value is out of range.`);
	return Math.floor(value);
}

// |number| with `most` digits behind the point at most: halves away from zero, of the digits it prints with.
function rounded(number, most) {
	const text = String(number);
	const point = text.indexOf(".");
	if (text.indexOf("e") >= 0) return number >= 1e21 ? wide(text) : number.toFixed(Math.min(most, 100));
	if (point < 0 || text.length - point - 1 <= most) return text;
	const cut = text.slice(0, point + 1 + most).replace(".", "");
	if (text.charAt(point + 1 + most) < "5") return place(cut, most);
	const digits = cut.split("");
	let i = digits.length - 1;
	for (; i >= 0 && digits[i] === "9"; i--) digits[i] = "0";
	if (i < 0) digits.unshift("1");
	else digits[i] = String(Number(digits[i]) + 1);
	return place(digits.join(""), most);
}

const place = (digits, most) => (most === 0 ? digits : `${digits.slice(0, -most) || "0"}.${digits.slice(-most)}`);

// "1.5e+21" written out.
function wide(text) {
	const [digits, exponent] = text.split("e+");
	const bare = digits.replace(".", "");
	return bare + "0".repeat(Number(exponent) - (bare.length - 1));
}

function formatNumber(value, given) {
	const options = given || {};
	const style = options.style || "decimal";
	const currency = options.currency === undefined ? "" : String(options.currency).toUpperCase();
	if (style === "currency" && currency === "") throw new TypeError("Currency code is required with currency style.");
	const usual = style === "currency" ? (WHOLE_CURRENCIES.indexOf(currency) >= 0 ? 0 : 2) : 0;
	const limit = style === "currency" ? usual : style === "percent" ? 0 : 3;
	let least = digitsOption(options, "minimumFractionDigits", 0, 100, undefined);
	let most = digitsOption(options, "maximumFractionDigits", 0, 100, undefined);
	if (least !== undefined && most !== undefined && least > most) {
		throw new RangeError("maximumFractionDigits value is out of range.");
	}
	if (most === undefined) most = Math.max(limit, least || 0);
	if (least === undefined) least = Math.min(usual, most);
	const number = style === "percent" ? Number((value * 100).toPrecision(15)) : value;
	let text = "NaN";
	if (number === number) {
		text = isFinite(number) ? rounded(Math.abs(number), most) : "∞";
		if (isFinite(number)) text = shape(text, least, options);
	}
	const isNegative = number < 0 || Object.is(number, -0);
	const sign = isNegative ? "-" : "";
	if (style === "percent") return `${sign}${text}%`;
	if (style !== "currency") return sign + text;
	const name = options.currencyDisplay === "code" ? currency : SIGNS[currency] || currency;
	return `${sign}${name}${/[A-Z]$/.test(name) ? "\u00a0" : ""}${text}`;
}

function shape(text, least, options) {
	let [whole, fraction = ""] = text.split(".");
	while (fraction.length > least && fraction.charAt(fraction.length - 1) === "0") fraction = fraction.slice(0, -1);
	while (fraction.length < least) fraction += "0";
	const width = digitsOption(options, "minimumIntegerDigits", 1, 21, 1);
	whole = whole.padStart(width, "0");
	if (options.useGrouping !== false) whole = whole.replace(/(\d)(?=(\d{3})+$)/g, "$1,");
	return fraction === "" ? whole : `${whole}.${fraction}`;
}

const two = (n) => (n < 10 ? `0${n}` : String(n));
const sized = (n, style) => (style === "2-digit" ? two(n % 100) : String(n));

function zoneShift(zone, time) {
	if (zone === undefined || /^(?:Etc\/)?(?:UTC|GMT)$/i.test(zone)) return 0;
	const shift = host.zoneOffset(String(zone), time);
	if (shift !== shift) throw new RangeError(`Invalid time zone specified: ${String(zone)}`);
	return shift;
}

const DATE_STYLES = {
	full: { weekday: "long", month: "long", day: "numeric", year: "numeric" },
	long: { month: "long", day: "numeric", year: "numeric" },
	medium: { month: "short", day: "numeric", year: "numeric" },
	short: { month: "numeric", day: "numeric", year: "2-digit" },
};
const TIME_STYLES = {
	full: { hour: "numeric", minute: "2-digit", second: "2-digit", timeZoneName: "long" },
	long: { hour: "numeric", minute: "2-digit", second: "2-digit", timeZoneName: "short" },
	medium: { hour: "numeric", minute: "2-digit", second: "2-digit" },
	short: { hour: "numeric", minute: "2-digit" },
};
const DATE_PARTS = ["weekday", "year", "month", "day"];
const TIME_PARTS = ["hour", "minute", "second"];

// need: which parts there are when none is asked for, "date", "time" or "any".
function wanted(given, need) {
	const options = given || {};
	if (options.dateStyle !== undefined || options.timeStyle !== undefined) {
		return { ...DATE_STYLES[options.dateStyle], ...TIME_STYLES[options.timeStyle], styled: true };
	}
	const asked = {};
	const names = DATE_PARTS.concat(TIME_PARTS, ["timeZoneName"]);
	for (let i = 0; i < names.length; i++) if (options[names[i]] !== undefined) asked[names[i]] = options[names[i]];
	const hasDate = DATE_PARTS.some((name) => asked[name] !== undefined);
	const hasTime = TIME_PARTS.some((name) => asked[name] !== undefined);
	const full = (need === "date" && !hasDate) || (need === "time" && !hasTime) || (need === "any" && !hasDate && !hasTime);
	if (!full) return asked;
	if (need !== "time") Object.assign(asked, { month: "numeric", day: "numeric", year: "numeric" });
	if (need !== "date") Object.assign(asked, { hour: "numeric", minute: "2-digit", second: "2-digit" });
	return asked;
}

// [[type, value]...]; texts between parts are "literal".
function datePieces(date, asked, tag) {
	const names = { year: "year", month: "month", day: "day" };
	const year = date.getUTCFullYear();
	const value = {
		year: asked.year && sized(year > 0 ? year : 1 - year, asked.year), // there was no year 0
		month: asked.month && sized(date.getUTCMonth() + 1, asked.month),
		day: asked.day && sized(date.getUTCDate(), asked.day),
	};
	const isNamed = asked.month === "long" || asked.month === "short";
	const weekday = asked.weekday && DAYS[date.getUTCDay()].slice(0, asked.weekday === "long" ? 9 : 3);
	const out = weekday ? [["weekday", weekday]] : [];
	let order = ["month", "day", "year"];
	let between = "/";
	if (isNamed) value.month = MONTHS[date.getUTCMonth()].slice(0, asked.month === "long" ? 9 : 3);
	else if (tag === "en-CA" || tag === "sv-SE") {
		order = ["year", "month", "day"];
		between = "-";
		if (asked.month) value.month = two(Number(value.month));
		if (asked.day) value.day = two(Number(value.day));
	} else if (tag === "en-GB") {
		order = ["day", "month", "year"];
		if (asked.year && asked.month && asked.day) {
			value.month = two(Number(value.month));
			value.day = two(Number(value.day));
		}
	}
	let isFirst = true;
	for (let i = 0; i < 3; i++) {
		const name = names[order[i]];
		if (!value[name]) continue;
		if (!isFirst) {
			let text = between;
			if (isNamed) text = name === "year" && asked.day ? ", " : " ";
			out.push(["literal", text]);
		} else if (weekday) {
			out.push(["literal", ", "]);
		}
		out.push([name, value[name]]);
		isFirst = false;
	}
	return out;
}

function timePieces(date, asked, options, tag) {
	if (!TIME_PARTS.some((name) => asked[name])) return [];
	const is24 = options.hour12 === false || options.hourCycle === "h23" || options.hourCycle === "h24" || (options.hour12 === undefined && (tag === "en-GB" || tag === "sv-SE"));
	const hour = date.getUTCHours();
	const out = [];
	const isMany = Boolean(asked.hour && asked.minute);
	if (asked.hour) {
		const shown = is24 ? (options.hour12 === false && hour === 0 && tag === "en-US" ? 24 : hour) : hour % 12 || 12;
		out.push(["hour", asked.hour === "2-digit" || is24 ? two(shown) : String(shown)]);
	}
	if (asked.minute) {
		if (out.length > 0) out.push(["literal", ":"]);
		out.push(["minute", isMany || asked.second ? two(date.getUTCMinutes()) : String(date.getUTCMinutes())]);
	}
	if (asked.second) {
		if (out.length > 0) out.push(["literal", ":"]);
		out.push(["second", asked.minute ? two(date.getUTCSeconds()) : String(date.getUTCSeconds())]);
	}
	if (asked.hour && !is24) out.push(["literal", " "], ["dayPeriod", hour < 12 ? "AM" : "PM"]);
	return out;
}

function pieces(time, locale, given, need) {
	const options = given || {};
	const tag = locale === undefined ? "en-US" : String(Array.isArray(locale) ? locale[0] : locale);
	languageOf(locale);
	const asked = wanted(options, need);
	const date = new Date(time + zoneShift(options.timeZone, time));
	const days = datePieces(date, asked, tag);
	const clock = timePieces(date, asked, options, tag);
	const isLong = asked.month === "long" || (asked.styled && (options.dateStyle === "full" || options.dateStyle === "long"));
	const isBare = days.length === 1 && days[0][0] === "weekday";
	const join = isLong ? " at " : isBare ? " " : ", ";
	const out = days.concat(days.length > 0 && clock.length > 0 ? [["literal", tag === "sv-SE" ? " " : join]] : [], clock);
	if (asked.timeZoneName) out.push(["literal", " "], ["timeZoneName", zoneName(options.timeZone, time)]);
	return out;
}

function zoneName(zone, time) {
	const shift = zoneShift(zone, time);
	if (shift === 0) return "UTC";
	const minutes = Math.abs(shift) / 60000;
	const rest = minutes % 60;
	return `GMT${shift < 0 ? "-" : "+"}${Math.floor(minutes / 60)}${rest === 0 ? "" : `:${two(rest)}`}`;
}

const joined = (list) => list.map((piece) => piece[1]).join("");

function formatDate(date, locale, options, need) {
	const time = date.getTime();
	return time === time ? joined(pieces(time, locale, options, need)) : "Invalid Date";
}

replace(Number.prototype, {
	toLocaleString(locale, options) {
		if (locale !== undefined) languageOf(locale);
		return formatNumber(Number(this), options);
	},
});
replace(Date.prototype, {
	toLocaleString(locale, options) {
		return formatDate(this, locale, options, "any");
	},
	toLocaleDateString(locale, options) {
		return formatDate(this, locale, options, "date");
	},
	toLocaleTimeString(locale, options) {
		return formatDate(this, locale, options, "time");
	},
});

function NumberFormat(locale, options) {
	if (!(this instanceof NumberFormat)) return new NumberFormat(locale, options);
	languageOf(locale);
	formatNumber(0, options);
	define(this, "format", (value) => formatNumber(Number(value), options));
}
replace(NumberFormat.prototype, {
	resolvedOptions: () => ({ locale: "en-US", numberingSystem: "latn" }),
});

const timeOf = (value) => {
	const time = value === undefined ? Date.now() : Number(value);
	if (time !== time) throw new RangeError("Invalid time value");
	return time;
};

function DateTimeFormat(locale, options) {
	if (!(this instanceof DateTimeFormat)) return new DateTimeFormat(locale, options);
	pieces(0, locale, options, "date");
	define(this, "format", (value) => joined(pieces(timeOf(value), locale, options, "date")));
	define(this, "formatToParts", (value) =>
		pieces(timeOf(value), locale, options, "date").map((piece) => ({ type: piece[0], value: piece[1] })),
	);
	define(this, "resolvedOptions", () => ({
		locale: "en-US",
		calendar: "gregory",
		numberingSystem: "latn",
		timeZone: isObject(options) && options.timeZone !== undefined ? String(options.timeZone) : "UTC",
	}));
}

function Collator(locale, options) {
	if (!(this instanceof Collator)) return new Collator(locale, options);
	languageOf(locale);
	define(this, "compare", (a, b) => collate(String(a), String(b), options));
}

const Intl = {};
replace(Intl, { Collator, DateTimeFormat, NumberFormat });
Object.defineProperty(Intl, Symbol.toStringTag, { value: "Intl", configurable: true });
define(G, "Intl", Intl);
