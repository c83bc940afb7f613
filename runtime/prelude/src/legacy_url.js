// parse, format and resolve of node:url, as they were before the URL class.
import { isObject } from "./core.js";
import { URL, URLSearchParams } from "./url.js";

const WHOLE = /^([a-zA-Z][a-zA-Z0-9+.-]*:)?(\/\/)?([^?#]*)(\?[^#]*)?(#[^]*)?$/;
const ESCAPED = /[\t\n\r "'<>\\^`{|}]/g;
const WITH_SLASHES = /^(https?|ftp|gopher|file|wss?):?$/;

function queryObject(text) {
	const out = Object.create(null);
	new URLSearchParams(text).forEach((value, name) => {
		out[name] = name in out ? [].concat(out[name], value) : value;
	});
	return out;
}

function readHost(out, text) {
	const at = text.lastIndexOf("@");
	if (at >= 0) out.auth = decodeURIComponent(text.slice(0, at));
	const found = /^(.*?)(?::(\d*))?$/.exec(text.slice(at + 1).toLowerCase());
	out.port = found[2] || null;
	out.hostname = found[1].replace(/^\[(.*)\]$/, "$1");
	out.host = found[1] + (out.port === null ? "" : `:${out.port}`);
}

export function parse(text, parseQuery) {
	if (typeof text !== "string") throw new TypeError(`The "url" argument must be of type string. Received ${text === null ? "null" : typeof text}`);
	const out = {
		protocol: null,
		slashes: null,
		auth: null,
		host: null,
		port: null,
		hostname: null,
		hash: null,
		search: null,
		query: null,
		pathname: null,
		path: null,
		href: "",
	};
	const found = WHOLE.exec(text.trim());
	let rest = found[3];
	if (found[1] !== undefined) out.protocol = found[1].toLowerCase();
	const hasHost = out.protocol !== null && out.protocol !== "javascript:";
	if (hasHost && (found[2] !== undefined || !WITH_SLASHES.test(out.protocol))) {
		if (found[2] !== undefined) out.slashes = true;
		const end = rest.indexOf("/");
		readHost(out, end < 0 ? rest : rest.slice(0, end));
		rest = end < 0 ? "" : rest.slice(end);
		if (rest === "" && WITH_SLASHES.test(out.protocol)) rest = "/";
	} else if (found[2] !== undefined) {
		rest = found[2] + rest;
	}
	const escape = (part) => part.replace(ESCAPED, (c) => (c === "'" ? "%27" : encodeURIComponent(c)));
	rest = escape(rest);
	out.hash = found[5] ? escape(found[5]) : null;
	out.search = found[4] ? escape(found[4]) : parseQuery && text[0] === "/" && out.hash === null ? "" : null;
	if (parseQuery) out.query = queryObject(out.search || "");
	else if (out.search !== null) out.query = out.search.slice(1);
	out.pathname = rest || null;
	if (out.pathname !== null || out.search) out.path = (out.pathname || "") + (out.search || "");
	out.href = format(out);
	return out;
}

export function format(value) {
	if (value instanceof URL) return value.href;
	if (typeof value === "string") return parse(value).href;
	if (!isObject(value)) throw new TypeError('The "urlObject" argument must be one of type object or string.');
	const protocol = value.protocol ? String(value.protocol).replace(/:?$/, ":") : "";
	const auth = value.auth ? `${encodeURIComponent(value.auth).replace(/%3A/i, ":")}@` : "";
	let host = "";
	if (value.host) host = auth + value.host;
	else if (value.hostname) {
		const name = value.hostname.indexOf(":") >= 0 && value.hostname[0] !== "[" ? `[${value.hostname}]` : value.hostname;
		host = auth + name + (value.port ? `:${value.port}` : "");
	}
	let path = value.pathname || "";
	if (value.slashes || (WITH_SLASHES.test(protocol) && host !== "")) {
		if (path !== "" && path[0] !== "/") path = `/${path}`;
		host = `//${host}`;
	}
	let search = value.search || "";
	if (search === "" && isObject(value.query)) search = new URLSearchParams(value.query).toString();
	if (search !== "" && search[0] !== "?") search = `?${search}`;
	const hash = value.hash ? String(value.hash).replace(/^#?/, "#") : "";
	return protocol + host + path.replace(/[?#]/g, encodeURIComponent) + search.replace(/#/g, "%23") + hash;
}

export function resolve(from, to) {
	const url = new URL(to, new URL(from, "resolve://"));
	return url.protocol === "resolve:" ? url.pathname + url.search + url.hash : url.toString();
}
