// Date: parsing and printing as V8 does with TZ=UTC.
import { G, define, replace } from "./core.js";

const Native = G.Date;
const proto = Native.prototype;
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
// Hours west of Greenwich are negative.
const ZONES = { z: 0, ut: 0, utc: 0, gmt: 0, est: -5, edt: -4, cst: -6, cdt: -5, mst: -7, mdt: -6, pst: -8, pdt: -7 };

const two = (n) => (n < 10 ? `0${n}` : String(n));
const three = (n) => (n < 10 ? `00${n}` : n < 100 ? `0${n}` : String(n));
const LIMIT = 8.64e15;

function build(year, month, day, hour, minute, second, ms, offset) {
	if (month < 1 || month > 12 || day < 1 || day > 31 || minute > 59 || second > 59) return NaN;
	if (hour > 24 || (hour === 24 && (minute > 0 || second > 0 || ms > 0))) return NaN;
	const date = new Native(0);
	date.setUTCFullYear(year, month - 1, day);
	const time = date.getTime() + ((hour * 60 + minute) * 60 + second) * 1000 + ms - offset * 60000;
	return Math.abs(time) <= LIMIT ? time : NaN;
}

const ISO =
	/^([+-]\d{6}|\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?\s*([Zz]|[+-]\d\d:?\d\d)?$/;

function offsetOf(zone) {
	if (zone === undefined || zone === "" || zone === "Z" || zone === "z") return 0;
	const digits = zone.replace(/[^0-9]/g, "");
	const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2) || 0);
	return zone.charAt(0) === "-" ? -minutes : minutes;
}

function parseIso(text) {
	const m = ISO.exec(text);
	if (m === null || m[1] === "-000000") return null;
	const ms = m[7] === undefined ? 0 : Number(`${m[7]}00`.slice(0, 3));
	return build(+m[1], +(m[2] || 1), +(m[3] || 1), +(m[4] || 0), +(m[5] || 0), +(m[6] || 0), ms, offsetOf(m[8]));
}

const TOKEN = /\([^()]*\)|\d+|[A-Za-z]+|[^\s]/g;

// "Jan 5, 2024 10:00 PM GMT+0200", "Fri, 05 Jan 2024 10:00:00 GMT", "2024/01/05", "1/5/2024 10:00:00.123".
function parseLoose(text) {
	const tokens = text.match(TOKEN) || [];
	const numbers = [];
	const time = [];
	let month = 0;
	let half = "";
	let offset = 0;
	let ms = 0;
	for (let i = 0; i < tokens.length; i++) {
		const token = tokens[i];
		const next = tokens[i + 1];
		if (/^\d/.test(token)) {
			if (next === ":" && time.length < 3) {
				time.push(Number(token));
				i++;
			} else if (time.length > 0 && time.length < 3 && tokens[i - 1] === ":") {
				time.push(Number(token));
				if (next === "." && /^\d/.test(tokens[i + 2] || "")) {
					ms = Number(`${tokens[i + 2]}00`.slice(0, 3));
					i += 2;
				}
			} else {
				numbers.push(Number(token));
			}
		} else if (/^[A-Za-z]/.test(token)) {
			const word = token.toLowerCase();
			const at = MONTHS.map((name) => name.toLowerCase()).indexOf(word.slice(0, 3));
			if ((word === "am" || word === "pm") && time.length > 0) half = word;
			else if (at >= 0) month = at + 1;
			else if (ZONES[word] !== undefined && numbers.length + time.length > 0) offset = ZONES[word] * 60;
			// Words may stand before the first number only: names of days, most of all.
			else if (numbers.length + time.length > 0) return NaN;
		} else if ((token === "+" || token === "-") && time.length > 0 && /^\d/.test(next || "")) {
			const digits = tokens[i + 2] === ":" ? next + tokens[i + 3] : next;
			offset = offsetOf(token + (digits.length < 3 ? `${two(+digits)}00` : `0${digits}`.slice(-4)));
			i += tokens[i + 2] === ":" ? 3 : 1;
		} else if (token === ":" && time.length === 0) {
			return NaN;
		}
	}
	return assemble(numbers, month, time, half, offset, ms);
}

function fullYear(year) {
	if (year < 50) return 2000 + year;
	return year < 100 ? 1900 + year : year;
}

const isDay = (n) => n >= 1 && n <= 31;

// Month, day, year in the order that the sizes of the numbers allow; what is missing is 1.
function assemble(numbers, named, time, half, offset, ms) {
	if (numbers.length === 0 || numbers.length > 3) return NaN;
	const [a, b, c] = numbers.concat([1, 1]);
	let parts;
	if (named > 0) parts = isDay(a) ? [b, named, a] : [a, named, b];
	else parts = isDay(a) ? [c, a, b] : [a, b, c];
	let hour = time[0] || 0;
	if (half !== "") {
		if (hour < 1 || hour > 12) return NaN;
		hour = (hour % 12) + (half === "pm" ? 12 : 0);
	}
	return build(fullYear(parts[0]), parts[1], parts[2], hour, time[1] || 0, time[2] || 0, ms, offset);
}

function parse(value) {
	const text = String(value).trim();
	const iso = parseIso(text);
	return iso === null ? parseLoose(text) : iso;
}

function Date(year) {
	if (!(this instanceof Date)) return new Native().toString();
	let made;
	if (arguments.length === 0) {
		made = new Native();
	} else if (arguments.length === 1) {
		let value = year;
		if (value !== null && typeof value === "object") {
			value = value instanceof Date ? value.getTime() : toPrimitive(value);
		}
		made = new Native(typeof value === "string" ? parse(value) : Number(value));
	} else {
		const a = arguments;
		const part = (i, fallback) => (i < a.length ? a[i] : fallback);
		made = new Native(a[0], a[1], part(2, 1), part(3, 0), part(4, 0), part(5, 0), part(6, 0));
	}
	const wanted = Object.getPrototypeOf(this);
	if (wanted !== proto) Object.setPrototypeOf(made, wanted);
	return made;
}

function toPrimitive(object) {
	const exotic = object[Symbol.toPrimitive];
	if (typeof exotic === "function") return exotic.call(object, "default");
	const value = object.valueOf();
	return value !== null && typeof value === "object" ? object.toString() : value;
}

Object.defineProperty(Date, "length", { value: 7, configurable: true });
Object.defineProperty(Date, "prototype", { value: proto, writable: false });
define(proto, "constructor", Date);
define(Date, "now", Native.now);
define(Date, "parse", parse);
// One argument is enough since ES2017.
define(Date, "UTC", (year, month, day, hour, minute, second, ms) =>
	Native.UTC(
		year,
		month === undefined ? 0 : month,
		day === undefined ? 1 : day,
		hour || 0,
		minute || 0,
		second || 0,
		ms || 0,
	),
);
define(G, "Date", Date);

function yearText(year) {
	if (year < 0) return `-${`00000${-year}`.slice(-6)}`;
	return year < 1000 ? `000${year}`.slice(-4) : String(year);
}

const invalid = (date) => date.getTime() !== date.getTime();
const dateText = (d) => `${DAYS[d.getDay()]} ${MONTHS[d.getMonth()]} ${two(d.getDate())} ${yearText(d.getFullYear())}`;
const clock = (d) => `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
const timeText = (d) => `${clock(d)} GMT+0000 (Coordinated Universal Time)`;

function isoYear(year) {
	if (year >= 0 && year <= 9999) return yearText(year);
	return (year < 0 ? "-" : "+") + `00000${Math.abs(year)}`.slice(-6);
}

const nativeNumber = proto.valueOf;
const getTime = (date) => nativeNumber.call(date);

replace(proto, {
	toString() {
		getTime(this);
		return invalid(this) ? "Invalid Date" : `${dateText(this)} ${timeText(this)}`;
	},
	toDateString() {
		return invalid(this) ? "Invalid Date" : dateText(this);
	},
	toTimeString() {
		return invalid(this) ? "Invalid Date" : timeText(this);
	},
	toUTCString() {
		if (invalid(this)) return "Invalid Date";
		const day = `${DAYS[this.getUTCDay()]}, ${two(this.getUTCDate())} ${MONTHS[this.getUTCMonth()]}`;
		const time = `${two(this.getUTCHours())}:${two(this.getUTCMinutes())}:${two(this.getUTCSeconds())}`;
		return `${day} ${yearText(this.getUTCFullYear())} ${time} GMT`;
	},
	toISOString() {
		if (invalid(this)) throw new RangeError("Invalid time value");
		const date = `${isoYear(this.getUTCFullYear())}-${two(this.getUTCMonth() + 1)}-${two(this.getUTCDate())}`;
		const time = `${two(this.getUTCHours())}:${two(this.getUTCMinutes())}:${two(this.getUTCSeconds())}`;
		return `${date}T${time}.${three(this.getUTCMilliseconds())}Z`;
	},
	toJSON() {
		const value = this.valueOf();
		return typeof value === "number" && !isFinite(value) ? null : this.toISOString();
	},
});
define(proto, "toGMTString", proto.toUTCString);
define(proto, Symbol.toPrimitive, function (hint) {
	if (hint === "number") return this.valueOf();
	if (hint !== "string" && hint !== "default") throw new TypeError(`Invalid hint: ${String(hint)}`);
	return this.toString();
});
