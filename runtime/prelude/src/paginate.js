// nango.paginate: pages of a provider's list, by cursor, link or offset.
import { host, isObject, put } from "./core.js";
import { HostError } from "./calls.js";

// A provider that gives the same page so often in a row does not hear what it is asked.
const SAME_PAGES = 3;

const METHODS_WITH_BODY = ["post", "put", "patch"];

// "a.b[0].c" -> its names.  A member that is called like the whole path goes first ("@odata.nextLink").
function namesOf(value, path) {
	if (path in Object(value)) return [path];
	const plain = path.replace(/\[(?:"([^"]*)"|'([^']*)'|([^\]]*))\]/g, (whole, a, b, c) => `.${a || b || c || ""}`);
	return (plain[0] === "." && path[0] === "[" ? plain.slice(1) : plain).split(".");
}

function at(value, path) {
	if (path === undefined || path === null || path === "") return value;
	if (value === undefined || value === null) return undefined;
	const names = namesOf(value, String(path));
	let found = value;
	for (let i = 0; i < names.length; i++) {
		if (found === undefined || found === null) return undefined;
		found = found[names[i]];
	}
	return found;
}

function check(options) {
	const need = (name) => {
		if (!options[name]) throw new Error(`Pagination of type "${options.type}" needs "${name}"`);
	};
	switch (options.type) {
		case "cursor":
			need("cursor_name_in_request");
			need("cursor_path_in_response");
			if (options.limit) need("limit_name_in_request");
			return;
		case "link":
			if (!options.link_rel_in_response_header && !options.link_path_in_response_body) {
				need("link_rel_in_response_header");
			}
			return;
		case "offset":
			need("offset_name_in_request");
			return;
		default:
			throw new Error(
				options.type === undefined
					? "There is no pagination type: name one in config.paginate"
					: `The pagination type "${String(options.type)}" is not known`,
			);
	}
}

// Sets a parameter in the query, or in the body under a dotted name.
function setParameter(config, name, value, inBody) {
	if (!inBody) {
		put(config.params, name, String(value));
		return;
	}
	const names = name.split(".");
	let target = config.data;
	for (let i = 0; i < names.length - 1; i++) {
		if (!isObject(target[names[i]])) put(target, names[i], {});
		target = target[names[i]];
	}
	put(target, names[names.length - 1], value);
}

function readParams(params) {
	if (typeof params !== "string") return Object.assign({}, params);
	const out = {};
	new URLSearchParams(params).forEach((value, name) => put(out, name, value));
	return out;
}

// What the author should look at.
function remedy(options) {
	if (options.type === "cursor") {
		return `check cursor_name_in_request ("${options.cursor_name_in_request}") and cursor_path_in_response ("${options.cursor_path_in_response}")`;
	}
	if (options.type === "offset") {
		return `check offset_name_in_request ("${options.offset_name_in_request}") and offset_calculation_method`;
	}
	return "check link_rel_in_response_header or link_path_in_response_body";
}

// The path alone: a query, a user or a host of its own may hold secrets.
function pathOf(endpoint) {
	return String(endpoint || "/")
		.replace(/[?#][^]*$/, "")
		.replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/]*/, "");
}

// get() for pages.  A page with content that comes again and again ends the run: it would never end by itself.
// Only the digest of the last answer is kept.
function guarded(options, get) {
	let last;
	let count = 0;
	return async (config) => {
		let digest;
		const response = await get(config, (bytes) => {
			digest = host.hex(host.hash("sha256", bytes));
		});
		const page = at(response.data, options.response_path);
		count = page && page.length && digest === last ? count + 1 : 1;
		last = digest;
		if (count >= SAME_PAGES) {
			const from = `${String(config.method).toUpperCase()} ${pathOf(config.endpoint)}`;
			const message = `paginate: ${from} gave the same page ${SAME_PAGES} times in a row: the provider does not follow the pagination of type "${options.type}"; ${remedy(options)}`;
			throw new HostError({ code: "page_repeated", message }, "paginate");
		}
		return response;
	};
}

async function seen(options, nextPageParam, response) {
	if (typeof options.on_page === "function") await options.on_page({ nextPageParam, response });
}

async function* cursorPages(config, options, inBody, get) {
	for (;;) {
		const response = await get(config);
		const page = at(response.data, options.response_path);
		if (!page || !page.length) {
			return;
		}
		yield page;
		const found = at(response.data, options.cursor_path_in_response);
		const next = typeof found === "string" ? found.trim() : found;
		const last = next === "" || (typeof next !== "string" && typeof next !== "number");
		await seen(options, last ? undefined : next, response);
		if (last) return;
		setParameter(config, options.cursor_name_in_request, next, inBody);
	}
}

// <https://api.example.com/items?page=2>; rel="next", ...
function linkOf(header, rel) {
	const parts = (Array.isArray(header) ? header.join(",") : String(header || "")).split(/,(?=\s*<)/);
	for (let i = 0; i < parts.length; i++) {
		const m = /^\s*<([^>]*)>(.*)$/.exec(parts[i]);
		if (m === null) continue;
		const name = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;"]+))/i.exec(m[2]);
		if (name !== null && (name[1] || name[2] || "").split(/\s+/).indexOf(rel) >= 0) return m[1];
	}
	return undefined;
}

async function* linkPages(config, options, get) {
	let last;
	for (;;) {
		const response = await get(config);
		const page = at(response.data, options.response_path);
		yield page || [];
		let link;
		if (options.link_rel_in_response_header) link = linkOf(response.headers.link, options.link_rel_in_response_header);
		if (!link && options.link_path_in_response_body) link = at(response.data, options.link_path_in_response_body);
		await seen(options, link, response);
		if (!link || link === last) return;
		last = link;
		delete config.params;
		if (URL.canParse(link)) {
			const url = new URL(link);
			config.baseUrlOverride = url.origin;
			config.endpoint = url.pathname + url.search;
		} else {
			config.endpoint = String(link);
		}
	}
}

async function* offsetPages(config, options, inBody, get) {
	let offset = options.offset_start_value || 0;
	for (;;) {
		if (inBody) setParameter(config, options.offset_name_in_request, offset, true);
		else put(config.params, options.offset_name_in_request, String(offset));
		const response = await get(config);
		const page = at(response.data, options.response_path);
		if (!page || !page.length) return;
		yield page;
		if (options.limit && page.length < Number(options.limit)) return;
		// The original names the page that was read, and says nothing of the last one.
		await seen(options, offset, response);
		offset += options.offset_calculation_method === "per-page" ? 1 : page.length;
	}
}

// defaults(): the provider's own settings; get(config, taken): one request, taken(bytes) gets its answer.
export async function* paginate(original, defaults, get) {
	const config = Object.assign({}, original);
	const own = isObject(config.paginate) ? config.paginate : {};
	const options = Object.assign({}, await defaults(), own);
	delete config.paginate;
	check(options);
	config.method = config.method || "GET";
	const guess = METHODS_WITH_BODY.indexOf(String(config.method).toLowerCase()) >= 0;
	const inBody = options.in_body === undefined ? guess : Boolean(options.in_body);
	if (inBody) config.data = JSON.parse(JSON.stringify(config.data || {}));
	config.params = readParams(config.params);
	if (options.limit && options.limit_name_in_request) {
		setParameter(config, options.limit_name_in_request, options.limit, inBody);
	}
	const getPage = guarded(options, get);
	switch (options.type) {
		case "cursor":
			yield* cursorPages(config, options, inBody, getPage);
			return;
		case "link":
			yield* linkPages(config, options, getPage);
			return;
		default:
			yield* offsetPages(config, options, inBody, getPage);
	}
}
