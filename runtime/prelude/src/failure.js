// From whatever was thrown to the error object that the caller of the function gets (wire.md 2.1).
import { host, isObject } from "./core.js";
import { isBytes, octets } from "./bytes.js";
import { HostError } from "./calls.js";
import { rawStack, sourcePositions, userFrames } from "./errors.js";
import { nativeParse, nativeStringify, sortedText } from "./json.js";

const MAX_PAYLOAD = 99000;
const MAX_MESSAGE = 20000;
const MAX_FRAMES = 10;
// Answers of the host that end the run under their own name when nobody catches them.
const PASSED_CODES = [
	"script_aborted",
	"execution_interrupted",
	"script_api_rate_limit_error",
	"script_network_error",
	"execution_interrupted",
	"execution_timeout",
	"checkpoint_conflict",
	"page_repeated",
];

export class ActionError extends Error {
	constructor(payload) {
		super();
		this.type = "action_script_runtime_error";
		this.payload = payload || undefined;
	}
}

const sizeOf = (text) => (text.length * 3 <= MAX_PAYLOAD ? text.length : host.utf8Encode(text).length);

function cut(text) {
	return text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}... (cut)` : text;
}

// Drops what does not fit: whole properties of an object, the tail of a list or a text.
function fit(value) {
	if (sizeOf(nativeStringify(value)) <= MAX_PAYLOAD) return value;
	if (typeof value === "string") return cut(value);
	if (!isObject(value)) return value;
	const out = Array.isArray(value) ? [] : {};
	let room = MAX_PAYLOAD - 100;
	const keys = Object.keys(value);
	if (!Array.isArray(value)) keys.sort();
	for (let i = 0; i < keys.length; i++) {
		const size = sizeOf(nativeStringify(value[keys[i]])) + keys[i].length * 3 + 4;
		if (size > room) {
			if (Array.isArray(value)) break;
			continue;
		}
		room -= size;
		Object.defineProperty(out, keys[i], { value: value[keys[i]], enumerable: true, configurable: true, writable: true });
	}
	return out;
}

// Any value as plain data, or a message that says why it is none.
function plain(value) {
	try {
		const text = nativeStringify(value);
		return text === undefined ? undefined : fit(nativeParse(text));
	} catch (error) {
		return { message: `The payload is not JSON: ${describe(error)}` };
	}
}

function describe(error) {
	try {
		return error instanceof Error ? String(error.message) : String(error);
	} catch (again) {
		return "unreadable error";
	}
}

function text(value, fallback) {
	return typeof value === "string" ? cut(value) : fallback;
}

function stackOf(error, head) {
	const list = userFrames(rawStack(error)).slice(0, MAX_FRAMES);
	return [cut(head)].concat(list);
}

function details(error) {
	const message = text(error.message, "");
	const name = text(error.name, "Error");
	return { message, name, stacktrace: stackOf(error, message === "" ? name : `${name}: ${message}`) };
}

function internal(message, payload) {
	return { code: "script_internal_error", message, payload };
}

export function internalFailure(message) {
	return internal(message, { message, name: "Error", stacktrace: [] });
}

function body(data) {
	if (isBytes(data)) return host.utf8Decode(octets(data));
	return data;
}

function upstream(response) {
	const headers = {};
	const given = isObject(response.headers) ? response.headers : {};
	Object.keys(given).forEach((name) => {
		const key = name.toLowerCase();
		if (key === "content-type" || key.slice(0, 6) === "x-rate") headers[key] = given[name];
	});
	const data = plain(body(response.data));
	return {
		code: "script_http_error",
		payload: data !== null && typeof data === "object" ? data : { message: data === undefined ? "" : data },
		upstream: { status: response.status, headers, body: data },
	};
}

function actionFailure(error) {
	const payload = plain(error.payload);
	const named = isObject(payload) && !Array.isArray(payload);
	const shown = payload === undefined || payload === null ? {} : named ? payload : { message: payload };
	const said = text(shown.message, undefined) || text(error.message, undefined);
	const message = said || `The function failed with an ActionError: ${cut(sortedText(shown))}`;
	return { code: "action_script_runtime_error", message, payload: shown };
}

function classify(error) {
	// The ActionError that a function imports is bundled with it: a class of its own.
	if (error instanceof Error && error.type === "action_script_runtime_error") return actionFailure(error);
	if (!(error instanceof Error)) {
		const shown = plain(error);
		const message = cut(shown === undefined ? String(error) : nativeStringify(shown));
		return internal(message, { message, name: "Error", stacktrace: [] });
	}
	if (error.isAxiosError === true) {
		if (isObject(error.response)) return upstream(error.response);
		const payload = details(error);
		payload.code = text(error.code, "unknown");
		return { code: "script_network_error", message: payload.message, payload };
	}
	if (error instanceof HostError && PASSED_CODES.indexOf(error.code) >= 0) {
		return { code: error.code, message: cut(error.message), payload: details(error) };
	}
	const payload = details(error);
	return internal(payload.message || payload.name, payload);
}

// Positions in the author's own files, beside what the wire asks for.
function addPositions(shown, error) {
	const typescript = sourcePositions(error, MAX_FRAMES);
	if (typescript.length > 0) shown.additional_properties = { typescript };
}

// The JSON text of the error object; keys in order.  Never throws.
export function failureText(error) {
	let shown;
	try {
		shown = classify(error);
		if (error instanceof Error) addPositions(shown, error);
		return sortedText(nativeParse(nativeStringify(shown)));
	} catch (again) {
		return nativeStringify(internalFailure("The function failed with an error that cannot be read"));
	}
}
