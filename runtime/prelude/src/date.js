// Date: parsing and printing as V8 does with TZ=UTC.
import { G, define, hasOwn, replace } from "./core.js";

const Native = G.Date;
const proto = Native.prototype;
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MONTH_NAMES = MONTHS.map((name) => name.toUpperCase());
// Hours west of Greenwich are negative.
const ZONES = { Z: 0, UT: 0, UTC: 0, GMT: 0, EST: -5, EDT: -4, CST: -6, CDT: -5, MST: -7, MDT: -6, PST: -8, PDT: -7 };

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

const ISO = /^([+-]\d{6}|\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?([Zz]|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?)?$/;

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

// What V8 takes to be words starts at "A"; brackets hold comments.
const TOKEN = /\d+|[A-Z\[-\u2027\u202a-\ufefe]+|\s+|[^]/g;
// The start of a date of the standard, which may be all there is of one.
const START = /^(\d{4})(?!\d)(?:-(?:(0[1-9]|1[0-2])(?!\d)(?:-(?:(0[1-9]|[12]\d|3[01])(?!\d))?)?)?)?/;

const isDay = (n) => n >= 1 && n <= 31;

function withoutComments(text) {
	let out = "";
	let depth = 0;
	for (let i = 0; i < text.length; i++) {
		const c = text.charAt(i);
		if (c === "(") depth++;
		else if (c === ")" && depth > 0) depth--;
		else if (depth === 0) out += c;
	}
	return out;
}

// V8's reading of what is no date of the standard: "Jan 5, 2024 10:00 PM GMT+0200", "2024/01/05", "1/5/2024 10:00:00.123".
function parseLoose(given) {
	let text = (given.indexOf("(") < 0 ? given : withoutComments(given)).replace(/^-000000/, "-");
	const day = [];
	const time = [];
	const start = START.exec(text);
	if (start !== null) {
		for (let i = 1; i < 4; i++) if (start[i] !== undefined) day.push(Number(start[i]));
		text = text.slice(start[0].length);
	}
	const tokens = text.toUpperCase().match(TOKEN) || [];
	let hasNumber = day.length > 0;
	let month = 0;
	let half = -1;
	let sign = 0;
	let zoneHour = -1;
	let zoneMinute = -1;
	// Whether n is what the time lacks next.
	const expects = (n) => (time.length === 1 && n < 60) || (time.length === 2 && n < 60) || (time.length === 3 && n < 1000);
	const isUtc = () => zoneHour === 0 && zoneMinute === 0;
	let i = 0;
	function skip(symbol) {
		if (tokens[i] !== symbol) return false;
		i++;
		return true;
	}
	function finish(n) {
		time.push(n);
		while (time.length < 4) time.push(0);
	}

	while (i < tokens.length) {
		const token = tokens[i++];
		if (/^\d/.test(token)) {
			const n = Number(token);
			hasNumber = true;
			if (skip(":")) {
				if (time.length === 4 || (tokens[i] === ":" && time.length > 0)) return NaN;
				time.push(n);
				if (skip(":")) time.push(0);
				else skip(".");
			} else if (tokens[i] === "." && expects(n)) {
				i++;
				time.push(n);
				if (!/^\d/.test(tokens[i] || "")) return NaN;
				finish(Number(`${tokens[i++]}00`.slice(0, 3)));
			} else if (zoneHour >= 0 && zoneMinute < 0 && n < 60) {
				skip(".");
				zoneMinute = n;
			} else if (expects(n)) {
				finish(n);
				if (tokens[i] !== undefined && !/^(?:\s+|Z|[-+])$/.test(tokens[i])) return NaN;
			} else {
				skip(".");
				if (day.length === 3) return NaN;
				day.push(n);
				skip("-");
			}
		} else if (/^[A-Z\[-\ufefe]/.test(token) && !/^\s/.test(token)) {
			const named = MONTH_NAMES.indexOf(token.slice(0, 3)) + 1;
			if ((token === "AM" || token === "PM") && time.length > 0) {
				half = token === "AM" ? 0 : 12;
			} else if (named > 0 && token.length > 2) {
				month = named;
				skip("-");
			} else if (hasNumber && hasOwn(ZONES, token)) {
				sign = ZONES[token] < 0 ? -1 : 1;
				zoneHour = Math.abs(ZONES[token]);
				zoneMinute = 0;
			} else if (hasNumber || /^\d/.test(tokens[i] || "")) {
				return NaN;
			}
		} else if ((token === "+" || token === "-") && (time.length > 0 || isUtc())) {
			const digits = /^\d/.test(tokens[i] || "") ? tokens[i++] : "";
			sign = token === "-" ? -1 : 1;
			hasNumber = true;
			if (tokens[i] === ":") {
				i++;
				zoneHour = Number(digits);
				zoneMinute = -1;
			} else if (digits.length > 0 && digits.length < 5) {
				zoneHour = digits.length < 3 ? Number(digits) : Math.floor(Number(digits) / 100);
				zoneMinute = digits.length < 3 ? 0 : Number(digits) % 100;
			} else {
				return NaN;
			}
		} else if ((token === "+" || token === "-" || token === ")") && hasNumber) {
			return NaN;
		}
	}
	const offset = sign * (Math.max(zoneHour, 0) * 60 + Math.max(zoneMinute, 0));
	return assemble(day, month, time, half, offset);
}

function fullYear(year) {
	if (year < 50) return 2000 + year;
	return year < 100 ? 1900 + year : year;
}

// Month, day, year in the order that the sizes of the numbers allow; what is missing is 1.
function assemble(numbers, named, time, half, offset) {
	if (numbers.length === 0) return NaN;
	const [a, b, c] = numbers.concat([1, 1]);
	let parts;
	if (named > 0) parts = isDay(a) ? [b, named, a] : [a, named, b];
	else parts = isDay(a) ? [c, a, b] : [a, b, c];
	let hour = time[0] || 0;
	if (half >= 0) {
		if (hour > 12) return NaN;
		hour = (hour % 12) + half;
	}
	return build(fullYear(parts[0]), parts[1], parts[2], hour, time[1] || 0, time[2] || 0, time[3] || 0, offset);
}

const YEAR_TEXT = /^[+-]?\d{4,6}(?:-\d\d){0,2}[Tt]/;

function parse(value) {
	const source = String(value);
	const iso = parseIso(source.charCodeAt(0) > 32 ? source : source.trim());
	if (iso !== null) return iso;
	return YEAR_TEXT.test(source) ? NaN : parseLoose(source);
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
		made = new Native(typeof value === "string" ? parse(value) : Number(value) + 0); // not minus zero
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
define(Date, "UTC", function UTC(year, month) {
	const list = Array.prototype.slice.call(arguments);
	if (list.length === 0) return NaN;
	if (month === undefined && list.length < 2) list[1] = 0;
	return Native.UTC.apply(null, list);
});
define(G, "Date", Date);

function yearText(year) {
	if (year < 0) return `-${-year < 1000 ? `000${-year}`.slice(-4) : -year}`;
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
