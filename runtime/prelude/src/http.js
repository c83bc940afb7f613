// Requests through the host, with the shapes of axios: parameters, bodies, responses and errors.
import { define, getter, host, isObject, put } from "./core.js";
import { isBytes, octets, wrap } from "./bytes.js";
import { HostError, call } from "./calls.js";
import { streamOf } from "./stream.js";
import { URLSearchParams } from "./url.js";

const FORM = "application/x-www-form-urlencoded";
const UNSENDABLE = "Data after transformation must be a string, an ArrayBuffer, a Buffer, or a Stream";

const isFlat = (list) => !list.some(isObject);

function textOf(value) {
	if (value instanceof Date) return value.toISOString();
	return String(value);
}

const withoutBrackets = (name) => (name.slice(-2) === "[]" ? name.slice(0, -2) : name);

// { a: [1, 2], b: { c: [3] } } -> [["a[]", 1], ["a[]", 2], ["b[c][0]", 3]]: what is flat in the object itself has no
// numbers, and "name{}" there is JSON.
function pairs(value, path, out, above) {
	if (above.indexOf(value) >= 0) throw new Error(`Circular reference detected in ${path}`);
	const within = above.concat([value]);
	const keys = Object.keys(value);
	for (let i = 0; i < keys.length; i++) {
		const member = value[keys[i]];
		if (member === undefined || member === null) continue;
		const outermost = above.length === 0;
		const name = outermost ? keys[i] : `${withoutBrackets(path)}[${withoutBrackets(keys[i])}]`;
		if (outermost && isObject(member) && name.slice(-2) === "{}") out.push([name, JSON.stringify(member)]);
		else if (outermost && Array.isArray(member) && (isFlat(member) || name.slice(-2) === "[]")) {
			for (let j = 0; j < member.length; j++) {
				if (member[j] !== undefined && member[j] !== null) out.push([`${withoutBrackets(name)}[]`, member[j]]);
			}
		} else if (isObject(member) && !(member instanceof Date) && !isBytes(member)) pairs(member, name, out, within);
		else out.push([name, member]);
	}
	return out;
}

// Endpoint and query of a request, the query as text without the question mark.  Each parameter is set as
// URL.searchParams.set does: as text, in place of one of that name in the endpoint, whose query is written anew.
export function target(endpoint, params) {
	const query = endpoint.indexOf("?");
	if (typeof params === "string") {
		if (params !== "" && query >= 0) throw new Error("Can not set query params in endpoint and in params");
		return { endpoint, query: params.replace(/^\?/, "") };
	}
	if (!isObject(params)) return { endpoint, query: "" };
	if (params instanceof URLSearchParams) return { endpoint, query: params.toString() };
	const names = Object.keys(params);
	if (names.length === 0) return { endpoint, query: "" };
	const plain = endpoint.replace(/#.*$/, "");
	const search = new URLSearchParams(query < 0 ? "" : plain.slice(query + 1));
	for (let i = 0; i < names.length; i++) search.set(names[i], String(params[names[i]]));
	return { endpoint: query < 0 ? plain : plain.slice(0, query), query: search.toString() };
}

function findHeader(headers, name) {
	return Object.keys(headers).find((key) => key.toLowerCase() === name);
}

function plainHeaders(headers) {
	const out = {};
	if (!isObject(headers)) return out;
	const keys = Object.keys(headers);
	for (let i = 0; i < keys.length; i++) {
		const value = headers[keys[i]];
		if (value === undefined || value === null || value === false) continue;
		put(out, keys[i], Array.isArray(value) ? value.map(String).join(", ") : String(value));
	}
	return out;
}

// A text that is JSON is sent as it is, any other value becomes JSON.
function jsonOf(data) {
	if (typeof data === "string") {
		try {
			JSON.parse(data);
			return data.trim();
		} catch (error) {
			return JSON.stringify(data);
		}
	}
	return JSON.stringify(data);
}

// { name: value } as the parts of a form; sets the content type with the boundary between them.
function partsOf(data, headers, named) {
	const boundary = `--------------------------${hexOf(host.random(12))}`;
	headers[named] = `multipart/form-data; boundary=${boundary}`;
	const parts = [];
	pairs(data, "", [], []).forEach(([name, value]) => {
		const type = isBytes(value) ? "Content-Type: application/octet-stream\r\n" : "";
		parts.push(Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n${type}\r\n`));
		parts.push(isBytes(value) ? Buffer.from(octets(value)) : Buffer.from(textOf(value)));
		parts.push(Buffer.from("\r\n"));
	});
	parts.push(Buffer.from(`--${boundary}--\r\n`));
	return octets(Buffer.concat(parts));
}

const hexOf = (bytes) => host.hex(bytes);

// The octets to send; sets the content type where axios would.
function bodyOf(data, headers, method) {
	const named = findHeader(headers, "content-type");
	const type = named === undefined ? "" : headers[named];
	const setType = (value) => {
		if (findHeader(headers, "content-type") === undefined) headers["content-type"] = value;
	};
	const sends = method === "POST" || method === "PUT" || method === "PATCH";
	let body;
	if (data && (sends || method === "DELETE")) {
		if (isBytes(data)) body = octets(data);
		else if (data instanceof URLSearchParams) {
			setType(`${FORM};charset=utf-8`);
			body = data.toString();
		} else if (isObject(data) && type.indexOf("multipart/form-data") >= 0) body = partsOf(data, headers, named);
		else if (isObject(data) && type.indexOf(FORM) >= 0) {
			body = new URLSearchParams(pairs(data, "", [], []).map(([name, value]) => [name, textOf(value)])).toString();
		}
		else if (isObject(data) || type.indexOf("application/json") >= 0) {
			setType("application/json");
			body = jsonOf(data);
		} else if (typeof data === "string") body = data;
		else throw new AxiosError(UNSENDABLE, "ERR_BAD_REQUEST", { method: method.toLowerCase(), headers, data });
	}
	if (sends) setType(FORM);
	return body;
}

// Response headers as axios hands them out: lower case, with get and has.
const headerMethods = {};
define(headerMethods, "get", function (name) {
	const key = findHeader(this, String(name).toLowerCase());
	return key === undefined ? undefined : this[key];
});
define(headerMethods, "has", function (name) {
	return findHeader(this, String(name).toLowerCase()) !== undefined;
});
define(headerMethods, "toJSON", function () {
	return Object.assign({}, this);
});

export function responseHeaders(raw) {
	const out = Object.create(headerMethods);
	const keys = Object.keys(raw || {});
	for (let i = 0; i < keys.length; i++) put(out, keys[i].toLowerCase(), raw[keys[i]]);
	return out;
}

function dataOf(body, responseType) {
	const bytes = body === undefined || body === null ? new Uint8Array(0) : body;
	if (responseType === "arraybuffer") return wrap(bytes);
	let text = host.utf8Decode(bytes);
	if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
	if (text === "" || (responseType && responseType !== "json")) return text;
	try {
		return JSON.parse(text);
	} catch (error) {
		return text;
	}
}

export class AxiosError extends Error {
	constructor(message, code, config, request, response) {
		super(message);
		define(this, "name", "AxiosError");
		define(this, "message", message);
		if (code !== undefined) this.code = code;
		this.config = config;
		this.request = request;
		if (response !== undefined) {
			this.response = response;
			this.status = response.status;
		}
	}

	toJSON() {
		return {
			message: this.message,
			name: this.name,
			stack: this.stack,
			config: { url: this.config.url, method: this.config.method },
			code: this.code,
			status: this.status || null,
		};
	}
}
getter(AxiosError.prototype, "isAxiosError", () => true);

const TRANSPORT = /^[A-Z][A-Z0-9_]+$/;

function transportError(error, config, request) {
	if (!(error instanceof HostError) || !TRANSPORT.test(error.code)) return error;
	const made = new AxiosError(error.message, error.code, config, request);
	define(made, "name", "Error"); // axios keeps the name of the error below
	return made;
}

// What the host says without an answer, as the API answers it.
function answerOf(error) {
	if (!(error instanceof HostError)) return {};
	if (error.code !== "unknown_connection" || typeof error.answer.status === "number") return error.answer;
	return { status: 404, body: { error: { code: "not_found", message: error.message } } };
}

// A refusal of the host that describes an answer of the API becomes what a client of the API throws.
export async function asClient(method, url, asked) {
	try {
		return await asked;
	} catch (error) {
		const answer = answerOf(error);
		if (typeof answer.status !== "number") throw error;
		const config = { method, url };
		const code = answer.status < 500 ? "ERR_BAD_REQUEST" : "ERR_BAD_RESPONSE";
		const message = `Request failed with status code ${answer.status}`;
		throw new AxiosError(message, code, config, { method: method.toUpperCase(), path: url }, {
			data: answer.body,
			status: answer.status,
			statusText: "",
			headers: responseHeaders({ "content-type": "application/json; charset=utf-8" }),
			config,
		});
	}
}

const PASSED = [
	"retries",
	"retryOn",
	"retryHeader",
	"baseUrlOverride",
	"decompress",
	"responseType",
	"forwardHeadersOnRedirect",
];

// What the host is asked; `method` is upper case.
function question(config, method, headers, where) {
	const { endpoint, query } = target(String(config.endpoint === undefined ? "" : config.endpoint), config.params);
	const meta = {
		method,
		endpoint,
		headers,
		params: query,
		providerConfigKey: config.providerConfigKey || where.providerConfigKey,
		connectionId: config.connectionId || where.connectionId,
	};
	for (let i = 0; i < PASSED.length; i++) {
		if (config[PASSED[i]] !== undefined) meta[PASSED[i]] = config[PASSED[i]];
	}
	if (meta.retries === undefined) meta.retries = 0;
	return meta;
}

// where: { providerConfigKey, connectionId } of the run.  Resolves with { data, status, statusText, headers,
// config, request }, rejects with an AxiosError.  taken, if given, is called with the bytes of a good answer.
export async function request(config, where, taken) {
	if (!isObject(config)) throw new Error("The request needs a configuration object with an endpoint");
	if (!config.endpoint && !config.baseUrlOverride) throw new Error("missing_api_url: the request needs an endpoint");
	const method = String(config.method || "GET").toUpperCase();
	const headers = plainHeaders(config.headers);
	const body = bodyOf(config.data, headers, method);
	const meta = question(config, method, headers, where);
	const shown = Object.assign({}, config, { method: method.toLowerCase(), url: meta.endpoint, headers });
	const sent = { method, path: meta.endpoint };
	let answer;
	try {
		answer = await asClient("get", `/connections/${meta.connectionId}`, call("http", meta, body));
	} catch (error) {
		throw transportError(error, shown, sent);
	}
	const response = {
		data: dataOf(answer.body, config.responseType),
		status: answer.meta.status,
		statusText: answer.meta.statusText || "",
		headers: responseHeaders(answer.meta.headers),
		config: shown,
		request: sent,
	};
	const bytes = answer.body || new Uint8Array(0);
	if (config.responseType === "stream") response.data = streamOf(wrap(octets(bytes)));
	if (response.status >= 200 && response.status < 300) {
		if (taken !== undefined) taken(bytes);
		return response;
	}
	const code = response.status >= 400 && response.status < 500 ? "ERR_BAD_REQUEST" : "ERR_BAD_RESPONSE";
	throw new AxiosError(`Request failed with status code ${response.status}`, code, shown, sent, response);
}

