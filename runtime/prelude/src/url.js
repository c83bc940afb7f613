// URL and URLSearchParams as the WHATWG standard has them, without the tables of international domain names:
// a host beyond ASCII is lower-cased and written in Punycode.
import { G, define, getter, hiddenKey, isObject, replace } from "./core.js";
import { iterate, iteratorKind, makeIterator } from "./symbols.js";

const SPECIAL = { "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };
const DATA = hiddenKey("url");
const LIST = hiddenKey("params");
const OWNER = hiddenKey("owner");

// Percent-encodes what `keep` does not match, and everything beyond ASCII.
function escapeText(text, unsafe) {
	return text.replace(/[\ud800-\udbff][\udc00-\udfff]|[^\x21-\x7e]|[\s\S]/g, (c) => {
		if (c.length === 1 && c >= "!" && c <= "~") return unsafe.indexOf(c) < 0 ? c : hex(c);
		if (c.length === 1 && c < "\x80") return hex(c);
		return c.length === 1 && c >= "\ud800" && c <= "\udfff" ? "%EF%BF%BD" : encodeURIComponent(c);
	});
}
// A USVString: what has no pair is U+FFFD.
const usv = (value) => {
	const text = String(value);
	return /[\ud800-\udfff]/.test(text) ? text.toWellFormed() : text;
};

const hex = (c) => `%${(c.charCodeAt(0) < 16 ? "0" : "") + c.charCodeAt(0).toString(16).toUpperCase()}`;

const IN_FRAGMENT = '"<>`';
const IN_QUERY = '"<>#';
const IN_PATH = '"<>#?`{}^';
const IN_USER = '"<>#?`{}^/:;=@[\\]|';

function invalid(input) {
	const error = new TypeError("Invalid URL");
	error.code = "ERR_INVALID_URL";
	error.input = input;
	return error;
}

// RFC 3492.
function punycode(label) {
	const points = [];
	for (let i = 0; i < label.length; i++) {
		const point = label.codePointAt(i);
		points.push(point);
		if (point > 0xffff) i++;
	}
	let out = points
		.filter((p) => p < 128)
		.map((p) => String.fromCharCode(p))
		.join("");
	const basic = out.length;
	let handled = basic;
	if (basic > 0) out += "-";
	let n = 128;
	let delta = 0;
	let bias = 72;
	while (handled < points.length) {
		const next = Math.min.apply(null, points.filter((p) => p >= n));
		delta += (next - n) * (handled + 1);
		n = next;
		for (let i = 0; i < points.length; i++) {
			if (points[i] < n) delta++;
			if (points[i] !== n) continue;
			let q = delta;
			for (let k = 36; ; k += 36) {
				const t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
				if (q < t) break;
				const digit = t + ((q - t) % (36 - t));
				out += String.fromCharCode(digit < 26 ? digit + 97 : digit + 22);
				q = Math.floor((q - t) / (36 - t));
			}
			out += String.fromCharCode(q < 26 ? q + 97 : q + 22);
			let step = handled === basic ? Math.floor(delta / 700) : delta >> 1;
			step += Math.floor(step / (handled + 1));
			let k = 0;
			for (; step > 455; k += 36) step = Math.floor(step / 35);
			bias = k + Math.floor((36 * step) / (step + 38));
			delta = 0;
			handled++;
		}
		delta++;
		n++;
	}
	return `xn--${out}`;
}

// One part of an IPv4 address: decimal, octal or hexadecimal.  NaN: none of them.
function ipv4Part(text) {
	if (text === "") return NaN;
	if (/^0[xX][0-9a-fA-F]*$/.test(text)) return text.length === 2 ? 0 : parseInt(text, 16);
	if (/^0[0-7]+$/.test(text)) return parseInt(text, 8);
	return /^\d+$/.test(text) ? Number(text) : NaN;
}

function ipv4(hostname) {
	const parts = hostname.replace(/\.$/, "").split(".");
	const last = parts[parts.length - 1];
	if (!/^(\d+|0[xX][0-9a-fA-F]*)$/.test(last)) return hostname;
	if (parts.length > 4) return null;
	const numbers = parts.map(ipv4Part);
	let value = numbers[numbers.length - 1];
	if (!(value < Math.pow(256, 5 - numbers.length))) return null;
	for (let i = 0; i < numbers.length - 1; i++) {
		if (!(numbers[i] <= 255)) return null;
		value += numbers[i] * Math.pow(256, 3 - i);
	}
	return [24, 16, 8, 0].map((shift) => Math.floor(value / Math.pow(2, shift)) % 256).join(".");
}

function ipv6(text) {
	const halves = text.split("::");
	if (halves.length > 2) return null;
	const read = (half) => {
		if (half === "") return [];
		const out = [];
		const words = half.split(":");
		for (let i = 0; i < words.length; i++) {
			if (i === words.length - 1 && words[i].indexOf(".") >= 0) {
				const bytes = words[i].split(".").map((b) => (/^\d{1,3}$/.test(b) ? Number(b) : 256));
				if (bytes.length !== 4 || bytes.some((b) => b > 255)) return null;
				out.push(bytes[0] * 256 + bytes[1], bytes[2] * 256 + bytes[3]);
			} else if (/^[0-9a-fA-F]{1,4}$/.test(words[i])) out.push(parseInt(words[i], 16));
			else return null;
		}
		return out;
	};
	const head = read(halves[0]);
	const tail = halves.length === 2 ? read(halves[1]) : [];
	if (head === null || tail === null) return null;
	const gap = 8 - head.length - tail.length;
	if (halves.length === 2 ? gap < 1 : gap !== 0) return null;
	const words = head.slice();
	for (let i = 0; i < gap; i++) words.push(0);
	return compressed(words.concat(tail));
}

// The longest run of zeros, of two at least, is written "::".
function compressed(words) {
	let best = -1;
	let length = 1;
	for (let i = 0; i < 8; i++) {
		let run = 0;
		while (i + run < 8 && words[i + run] === 0) run++;
		if (run > length) {
			best = i;
			length = run;
		}
	}
	const text = (list) => list.map((w) => w.toString(16)).join(":");
	if (best < 0) return `[${text(words)}]`;
	return `[${text(words.slice(0, best))}::${text(words.slice(best + length))}]`;
}

function parseHost(text, special) {
	if (text.charAt(0) === "[") {
		return text.charAt(text.length - 1) === "]" ? ipv6(text.slice(1, -1)) : null;
	}
	if (!special) return /[\0\t\n\r #\/:<>?@[\\\]^|]/.test(text) ? null : escapeText(text, "");
	let name;
	try {
		name = decodeURIComponent(text).toLowerCase();
	} catch (error) {
		return null;
	}
	if (/[^\x00-\x7f]/.test(name)) {
		name = name
			.normalize("NFC")
			.replace(/[\u3002\uff0e\uff61]/g, ".")
			.split(".")
			.map((label) => (/[^\x00-\x7f]/.test(label) ? punycode(label) : label))
			.join(".");
	}
	if (name === "" || /[\x00-\x20"#%\/:<>?@[\\\]^`{|}\x7f]/.test(name)) return null;
	return ipv4(name);
}

const isDot = (segment) => /^(\.|%2e)$/i.test(segment);
const isDotDot = (segment) => /^(\.|%2e){2}$/i.test(segment);

// Resolves "." and ".." in `path` (no leading slash) after `base` (a list of segments).
function joinPath(base, path, special) {
	const out = base.slice();
	const segments = path.split(special ? /[\/\\]/ : "/");
	for (let i = 0; i < segments.length; i++) {
		const last = i === segments.length - 1;
		if (isDotDot(segments[i])) {
			out.pop();
			if (last) out.push("");
		} else if (isDot(segments[i])) {
			if (last) out.push("");
		} else out.push(escapeText(segments[i], IN_PATH));
	}
	return out;
}

function parsePort(text, scheme) {
	if (!/^\d*$/.test(text) || Number(text) > 65535) return null;
	if (text === "" || String(Number(text)) === SPECIAL[scheme]) return "";
	return String(Number(text));
}

function parseAuthority(url, text, input) {
	const at = text.lastIndexOf("@");
	if (at >= 0) {
		const user = text.slice(0, at);
		const colon = user.indexOf(":");
		url.username = escapeText(colon < 0 ? user : user.slice(0, colon), IN_USER);
		url.password = colon < 0 ? "" : escapeText(user.slice(colon + 1), IN_USER);
	}
	const place = text.slice(at + 1);
	const m = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(place);
	if (m === null || (m[1] === "" && (url.special || at >= 0))) throw invalid(input);
	const hostname = m[1] === "" ? "" : parseHost(m[1], url.special);
	const port = m[2] === undefined ? "" : parsePort(m[2], url.scheme);
	if (hostname === null || port === null) throw invalid(input);
	url.host = hostname;
	url.port = port;
}

function blank(scheme) {
	return {
		scheme,
		special: SPECIAL[scheme] !== undefined,
		username: "",
		password: "",
		host: null,
		port: "",
		path: [],
		opaque: null,
		query: null,
		fragment: null,
	};
}

function cloneBase(base) {
	const url = blank(base.scheme);
	for (const key in base) url[key] = Array.isArray(base[key]) ? base[key].slice() : base[key];
	url.fragment = null;
	return url;
}

const inQuery = (url) => IN_QUERY + (url.special ? "'" : "");

// Reads what follows the scheme, or a reference that has none.
function parseRest(url, rest, base, input) {
	let text = rest;
	const hash = text.indexOf("#");
	if (hash >= 0) {
		url.fragment = escapeText(text.slice(hash + 1), IN_FRAGMENT);
		text = text.slice(0, hash);
	}
	const mark = text.indexOf("?");
	const query = mark < 0 ? null : escapeText(text.slice(mark + 1), inQuery(url));
	if (mark >= 0) text = text.slice(0, mark);
	const slashes = url.special ? /^[\/\\]{2}/ : /^\/\//;
	if (url.special && base === null && url.scheme !== "file:") text = text.replace(/^[\/\\]*/, "//");
	if (slashes.test(text)) {
		const start = text.slice(2);
		const end = start.search(url.special ? /[\/\\]/ : /\//);
		url.username = url.password = "";
		if (url.scheme === "file:") url.host = end < 0 ? start : start.slice(0, end);
		else parseAuthority(url, end < 0 ? start : start.slice(0, end), input);
		const path = end < 0 ? "" : start.slice(end + 1);
		url.path = end < 0 ? (url.special ? [""] : []) : joinPath([], path, url.special);
		url.query = query;
		return url;
	}
	if (base === null && !url.special && text.charAt(0) !== "/") {
		url.opaque = escapeText(text, "");
		url.query = query;
		return url;
	}
	if (text !== "") {
		const absolute = text.charAt(0) === "/" || (url.special && text.charAt(0) === "\\");
		url.path = absolute
			? joinPath([], text.slice(1), url.special)
			: joinPath(url.path.slice(0, -1), text, url.special);
		url.query = query;
	} else if (query !== null) url.query = query;
	if (url.scheme === "file:" && url.host === null) url.host = "";
	return url;
}

function parse(value, base) {
	const input = usv(value).replace(/^[\x00-\x20]+|[\x00-\x20]+$/g, "").replace(/[\t\n\r]/g, "");
	const m = /^([A-Za-z][A-Za-z0-9+.\-]*):/.exec(input);
	if (m !== null) {
		const scheme = `${m[1].toLowerCase()}:`;
		const rest = input.slice(m[0].length);
		const relative = base && base.scheme === scheme && SPECIAL[scheme] !== undefined && !/^[\/\\]/.test(rest);
		if (relative) return parseRest(cloneBase(base), rest, base, input);
		return parseRest(blank(scheme), rest, null, input);
	}
	if (!base || (base.opaque !== null && input.charAt(0) !== "#")) throw invalid(input);
	return parseRest(cloneBase(base), input, base, input);
}

const portPart = (url) => (url.port === "" ? "" : `:${url.port}`);

function pathText(url) {
	if (url.opaque !== null) return url.opaque;
	return url.path.length === 0 ? "" : `/${url.path.join("/")}`;
}

function href(url) {
	let out = url.scheme;
	if (url.host !== null) {
		out += "//";
		if (url.username !== "" || url.password !== "") {
			out += `${url.username}${url.password === "" ? "" : `:${url.password}`}@`;
		}
		out += url.host + portPart(url);
	} else if (url.opaque === null && url.path.length > 1 && url.path[0] === "") out += "/.";
	out += pathText(url);
	if (url.query !== null) out += `?${url.query}`;
	return url.fragment === null ? out : `${out}#${url.fragment}`;
}

// application/x-www-form-urlencoded
function formEncode(text) {
	return encodeURIComponent(text.isWellFormed() ? text : text.toWellFormed())
		.replace(/%20/g, "+")
		.replace(/[!'()~]/g, hex);
}

function formDecode(text) {
	const spaced = text.replace(/\+/g, " ");
	if (spaced.indexOf("%") < 0) return spaced;
	try {
		return decodeURIComponent(spaced);
	} catch (error) {
		// Octets that are no UTF-8 become U+FFFD, one by one.
		return spaced.replace(/(?:%[0-9a-fA-F]{2})+/g, (run) => {
			const bytes = run.slice(1).split("%").map((pair) => parseInt(pair, 16));
			return new G.TextDecoder().decode(new Uint8Array(bytes));
		});
	}
}

function readForm(text) {
	const out = [];
	const pairs = text.split("&");
	for (let i = 0; i < pairs.length; i++) {
		if (pairs[i] === "") continue;
		const eq = pairs[i].indexOf("=");
		const name = eq < 0 ? pairs[i] : pairs[i].slice(0, eq);
		out.push([formDecode(name), eq < 0 ? "" : formDecode(pairs[i].slice(eq + 1))]);
	}
	return out;
}

function URLSearchParams(init) {
	if (!(this instanceof URLSearchParams)) throw new TypeError("Class constructor URLSearchParams requires 'new'");
	let list = [];
	if (isObject(init) && typeof init[Symbol.iterator] === "function") {
		iterate(init, (pair) => {
			if (!isObject(pair) || pair.length !== 2) {
				throw new TypeError("Each query pair must be an iterable [name, value] tuple");
			}
			list.push([usv(pair[0]), usv(pair[1])]);
		});
	} else if (isObject(init)) {
		list = Object.keys(init).map((key) => [usv(key), usv(init[key])]);
	} else if (init !== undefined && init !== null) {
		list = readForm(usv(init).replace(/^\?/, ""));
	}
	this[LIST] = list;
	this[OWNER] = null;
}

// A URL's own parameters write back to it.
function changed(params, list) {
	params[LIST] = list;
	if (params[OWNER] !== null) params[OWNER].query = list.length === 0 ? null : params.toString();
}

const ParamsIterator = iteratorKind("URLSearchParams Iterator");
function paramsIterator(params, pick) {
	let at = 0;
	return makeIterator(ParamsIterator, () =>
		at < params[LIST].length ? { value: pick(params[LIST][at++]), done: false } : { value: undefined, done: true },
	);
}

replace(URLSearchParams.prototype, {
	append(name, value) {
		changed(this, this[LIST].concat([[usv(name), usv(value)]]));
	},
	delete(name, value) {
		const key = usv(name);
		changed(
			this,
			this[LIST].filter((pair) => pair[0] !== key || (value !== undefined && pair[1] !== usv(value))),
		);
	},
	get(name) {
		const found = this[LIST].find((pair) => pair[0] === usv(name));
		return found === undefined ? null : found[1];
	},
	getAll(name) {
		return this[LIST].filter((pair) => pair[0] === usv(name)).map((pair) => pair[1]);
	},
	has(name, value) {
		return this[LIST].some((pair) => pair[0] === usv(name) && (value === undefined || pair[1] === usv(value)));
	},
	set(name, value) {
		const key = usv(name);
		let done = false;
		const list = this[LIST].filter((pair) => pair[0] !== key || (!done && (done = true))).map((pair) =>
			pair[0] === key ? [key, usv(value)] : pair,
		);
		changed(this, done ? list : list.concat([[key, usv(value)]]));
	},
	sort() {
		changed(
			this,
			this[LIST].slice().sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)),
		);
	},
	forEach(callback, self) {
		for (let i = 0; i < this[LIST].length; i++) callback.call(self, this[LIST][i][1], this[LIST][i][0], this);
	},
	keys() {
		return paramsIterator(this, (pair) => pair[0]);
	},
	values() {
		return paramsIterator(this, (pair) => pair[1]);
	},
	entries() {
		return paramsIterator(this, (pair) => [pair[0], pair[1]]);
	},
	toString() {
		return this[LIST].map((pair) => `${formEncode(pair[0])}=${formEncode(pair[1])}`).join("&");
	},
});
define(URLSearchParams.prototype, Symbol.iterator, URLSearchParams.prototype.entries);
getter(URLSearchParams.prototype, "size", function () {
	return this[LIST].length;
});

function URL(value, base) {
	if (!(this instanceof URL)) throw new TypeError("Class constructor URL cannot be invoked without 'new'");
	const data = parse(value, base === undefined ? null : parse(base, null));
	this[DATA] = data;
	const params = new URLSearchParams(data.query === null ? "" : data.query);
	params[OWNER] = data;
	data.params = params;
}

function property(name, get, set) {
	Object.defineProperty(URL.prototype, name, {
		get() {
			return get(this[DATA]);
		},
		set:
			set &&
			function (value) {
				set(this[DATA], usv(value));
			},
		enumerable: true,
		configurable: true,
	});
}

function setQuery(data, text) {
	const query = text.replace(/^\?/, "");
	data.query = text === "" ? null : escapeText(query, inQuery(data));
	data.params[LIST] = readForm(query);
}

function setHost(data, text, withPort) {
	const m = /^(\[[^\]]*\]|[^:\/?#\\]*)(?::(\d+))?/.exec(text);
	const hostname = parseHost(m[1], data.special);
	if (hostname === null || data.opaque !== null) return;
	data.host = hostname;
	if (withPort && m[2] !== undefined) data.port = parsePort(m[2], data.scheme) || "";
}

property("href", href, (data, text) => {
	const fresh = parse(text, null);
	for (const key in fresh) data[key] = fresh[key];
	data.params[LIST] = readForm(fresh.query || "");
});
property("origin", (data) => (data.special && data.scheme !== "file:" ? `${data.scheme}//${data.host}${portPart(data)}` : "null"));
property("protocol", (data) => data.scheme, (data, text) => {
	const scheme = `${text.replace(/:.*$/, "").toLowerCase()}:`;
	if ((SPECIAL[scheme] !== undefined) !== data.special || !/^[a-z][a-z0-9+.\-]*:$/.test(scheme)) return;
	data.scheme = scheme;
	if (data.port === SPECIAL[scheme]) data.port = "";
});
property("username", (data) => data.username, (data, text) => {
	data.username = escapeText(text, IN_USER);
});
property("password", (data) => data.password, (data, text) => {
	data.password = escapeText(text, IN_USER);
});
property("host", (data) => (data.host || "") + portPart(data), (data, text) => setHost(data, text, true));
property("hostname", (data) => data.host || "", (data, text) => setHost(data, text, false));
property("port", (data) => data.port, (data, text) => {
	if (!data.host || data.scheme === "file:") return;
	if (text === "") data.port = "";
	if (!/^\d/.test(text)) return;
	const port = parsePort(/^\d*/.exec(text)[0], data.scheme);
	if (port !== null) data.port = port;
});
property("pathname", pathText, (data, text) => {
	if (data.opaque === null) data.path = joinPath([], text.replace(data.special ? /^[\/\\]/ : /^\//, ""), data.special);
});
property("search", (data) => (data.query ? `?${data.query}` : ""), setQuery);
property("searchParams", (data) => data.params);
property("hash", (data) => (data.fragment ? `#${data.fragment}` : ""), (data, text) => {
	data.fragment = text === "" ? null : escapeText(text.replace(/^#/, ""), IN_FRAGMENT);
});
replace(URL.prototype, {
	toString() {
		return href(this[DATA]);
	},
	toJSON() {
		return href(this[DATA]);
	},
});
replace(URL, {
	canParse(value, base) {
		return URL.parse(value, base) !== null;
	},
	parse(value, base) {
		try {
			return new URL(value, base);
		} catch (error) {
			return null;
		}
	},
});
Object.defineProperty(URL.prototype, Symbol.toStringTag, { value: "URL", configurable: true });
Object.defineProperty(URLSearchParams.prototype, Symbol.toStringTag, { value: "URLSearchParams", configurable: true });
define(G, "URL", URL);
define(G, "URLSearchParams", URLSearchParams);

export { URL, URLSearchParams };
