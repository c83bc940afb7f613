// Runs inside of the context in which a customer's module is loaded to read its definition; bundled with zod to one
// script.  Nothing of the host is reachable from here: a function comes in by text, a text goes out.
import * as zod from "zod";

const TYPES = { action: "Action", sync: "Sync", onEvent: "OnEvent" };
const EVENTS = ["post-connection-creation", "pre-connection-deletion", "validate-connection"];

// Errors take no stack here: Node makes its text in a function of the host, and what that throws when the stack is
// nearly full would hand an object of the host to whoever catches it.
Object.defineProperty(Error, "stackTraceLimit", { value: undefined, writable: false, configurable: false });
Object.defineProperty(Error, "captureStackTrace", { value() {}, writable: false, configurable: false });
for (const name of ["WebAssembly", "SharedArrayBuffer", "Atomics"]) delete globalThis[name];

// The statement of the module that was begun last; counted where marks were put in.
let mark = -1;

class Fault extends Error {
	constructor(message, { field, remedy, construct = "definition" } = {}) {
		super(message);
		Object.assign(this, { field, remedy, construct });
	}
}

// Stands for what exists in a run only: any property, call or construction of it is itself.
const absent = new Proxy(function () {}, {
	get: (_target, key) => (key === Symbol.toPrimitive ? () => "" : key === Symbol.iterator ? () => [][Symbol.iterator]() : absent),
	set: () => true,
	apply: () => absent,
	construct: () => absent,
	getPrototypeOf: () => absent,
});

const RUN_GLOBALS = [
	"Buffer", "Headers", "Response", "TextDecoder", "TextEncoder", "URL", "URLSearchParams", "atob", "btoa",
	"clearInterval", "clearTimeout", "console", "queueMicrotask", "setInterval", "setTimeout",
];
for (const name of RUN_GLOBALS) {
	Object.defineProperty(globalThis, name, { value: absent, configurable: true, writable: true, enumerable: false });
}

const zodModule = Object.assign({}, zod);
zodModule.z = zodModule;
zodModule.default = zodModule;
Object.defineProperty(zodModule, "__esModule", { value: true });

function require(name) {
	if (name === "zod") return zodModule;
	return absent;
}

// Releases of zod differ in what they write; these make it what the published command line's writes.  Unions and
// intersections go past zod under other names, so that it does not shorten them.
const HIDDEN = { anyOf: "\0anyOf", allOf: "\0allOf" };
const SHOWN = { "\0anyOf": "anyOf", "\0allOf": "allOf" };

function rename(json, names) {
	const entries = Object.entries(json);
	for (const [key] of entries) delete json[key];
	for (const [key, value] of entries) json[Object.hasOwn(names, key) ? names[key] : key] = value;
}

const CHECKS = new Set(["starts_with", "ends_with", "includes"]);

function asPublished({ type }, json) {
	if (type === "date") Object.assign(json, { type: "string", format: "date-time" });
	if (type === "tuple") {
		if (json.additionalItems === false) delete json.additionalItems;
		delete json.minItems;
		delete json.maxItems;
	}
	if (CHECKS.has(json.format)) delete json.format;
	if (json.anyOf !== undefined || json.allOf !== undefined) rename(json, HIDDEN);
}

function show(json) {
	if (json === null || typeof json !== "object") return;
	if (!Array.isArray(json)) rename(json, SHOWN);
	for (const each of Object.values(json)) show(each);
}

function schemaOf(schema, field) {
	if (schema === null || typeof schema !== "object" || schema._zod === undefined) {
		throw new Fault(`${field} is not a zod schema`, { field, construct: "schema", remedy: "make it with zod, such as z.object({...})" });
	}
	// As the published command line makes them: void at the top only, and each a document of its own ("#" is itself).
	if (schema._zod.def.type === "void") return { type: "null" };
	let json;
	try {
		json = zod.toJSONSchema(schema, {
			target: "draft-7",
			unrepresentable: "any",
			override: ({ zodSchema, jsonSchema }) => asPublished(zodSchema._zod.def, jsonSchema),
		});
	} catch (error) {
		throw new Fault(`${field} has no JSON schema: ${error instanceof Error ? error.message : String(error)}`, {
			field,
			construct: "schema",
			remedy: "use schemas that JSON can express, without an end to their depth",
		});
	}
	delete json.$schema;
	show(json);
	return json;
}

function schemasOf(definition, kind, suffix) {
	const definitions = {};
	const add = (name, schema, field) => {
		if (schema === undefined) return null;
		definitions[name] = schemaOf(schema, field);
		return name;
	};
	const out = { definitions, input: null, output: null, models: [], metadata: null, checkpoint: null };
	if (definition.type === "action") {
		if (definition.output === undefined) {
			throw new Fault("an action needs an output schema", { construct: "schema", remedy: "add output: z.void() where there is none" });
		}
		out.input = add(`ActionInput_${suffix}`, definition.input, "input");
		out.output = add(`ActionOutput_${suffix}`, definition.output, "output");
	}
	if (definition.type === "sync") {
		const models = Object.entries(definition.models ?? {});
		if (models.length === 0) throw new Fault("a sync needs models", { construct: "schema", field: "models", remedy: "add models: { Name: z.object({...}) }" });
		out.models = models.map(([name, schema]) => add(name, schema, `models.${name}`));
	}
	out.metadata = add(`${kind}Metadata_${suffix}`, definition.metadata, "metadata");
	out.checkpoint = add(`${kind}Checkpoint_${suffix}`, definition.checkpoint, "checkpoint");
	return out;
}

function textOf(definition, field) {
	const value = definition[field];
	if (value === undefined || value === null) return null;
	if (typeof value !== "string") throw new Fault(`${field} is not a string`, { field });
	return value;
}

function listOf(definition, field) {
	const value = definition[field];
	if (value === undefined || value === null) return [];
	if (!Array.isArray(value)) throw new Fault(`${field} is not a list`, { field });
	return value.map(String);
}

function endpointsOf(definition) {
	const list = definition.endpoints ?? (definition.endpoint ? [definition.endpoint] : []);
	if (!Array.isArray(list)) throw new Fault("endpoints is not a list", { field: "endpoints" });
	return list.map((each) => {
		if (each === null || typeof each !== "object") throw new Fault("an endpoint is { method, path, group? }", { field: "endpoints" });
		const { method, path, group } = each;
		return { method: String(method), path: String(path), ...(group === undefined ? {} : { group: String(group) }) };
	});
}

function describe(definition, suffix) {
	if (definition === null || typeof definition !== "object" || TYPES[definition.type] === undefined) {
		throw new Fault("the file exports no function", { remedy: "export default createAction(...), createSync(...) or createOnEvent(...)" });
	}
	if (typeof definition.exec !== "function") throw new Fault("the function has no exec", { field: "exec", remedy: "add exec: async (nango) => {...}" });
	const { type } = definition;
	if (type === "onEvent" && !EVENTS.includes(definition.event)) {
		throw new Fault(`event is one of ${EVENTS.join(", ")}`, { field: "event" });
	}
	const described = {
		type,
		description: textOf(definition, "description") ?? "",
		version: textOf(definition, "version"),
		scopes: listOf(definition, "scopes"),
		endpoints: endpointsOf(definition),
	};
	if (type === "onEvent") described.event = definition.event;
	if (type === "sync") {
		described.frequency = textOf(definition, "frequency");
		described.syncType = textOf(definition, "syncType") ?? "full";
		described.autoStart = definition.autoStart === true;
		described.trackDeletes = definition.trackDeletes === true;
		described.webhookSubscriptions = definition.webhookSubscriptions ? listOf(definition, "webhookSubscriptions") : null;
		described.onWebhook = typeof definition.onWebhook === "function";
	}
	return { definition: described, schemas: schemasOf(definition, TYPES[type], suffix) };
}

function faultOf(error, loaded) {
	if (error instanceof Fault) {
		const { message, field, remedy, construct } = error;
		return { message, field, remedy, construct };
	}
	const what = error instanceof Error ? error.message : String(error);
	return {
		message: loaded ? `the definition cannot be read: ${what}` : `the module cannot be loaded: ${what}`,
		construct: loaded ? "definition" : "module",
		remedy: "what is outside of exec runs when the function is deployed; keep it free of side effects",
		loading: !loaded,
		mark,
	};
}

Object.defineProperty(globalThis, "__describe", {
	value(load, suffix) {
		let loaded = false;
		try {
			const module = { exports: {} };
			load(module.exports, require, module, (statement) => {
				mark = statement;
			});
			loaded = true;
			return JSON.stringify({ ok: true, ...describe(module.exports.default, suffix) });
		} catch (error) {
			return JSON.stringify({ ok: false, fault: faultOf(error, loaded) });
		}
	},
});
