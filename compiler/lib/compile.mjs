// One function from TypeScript: bundle, ES5, schemas, definition and the map back to the source.
import { bundle } from "./bundle.mjs";
import { Cache, keyOf } from "./cache.mjs";
import { evaluate } from "./evaluate.mjs";
import { lower } from "./lower.mjs";
import { inlineMap, tableOf } from "./maps.mjs";
import { Refusal } from "./refusal.mjs";
import { checkFiles, definitionPlaces, scan, usesCheckpoints } from "./source.mjs";
import { checkTypes } from "./types.mjs";
import { version } from "./version.mjs";

const NAME = /^[A-Za-z0-9_-]{1,255}$/;
const FOLDERS = { action: "actions", sync: "syncs", onEvent: "on-events" };
const TYPES = { action: "action", sync: "sync", onEvent: "onEvent", "on-event": "onEvent" };
const cache = new Cache();

function identity(request) {
	const { name = "function", integration = "integration", type } = request;
	if (!NAME.test(name) || !NAME.test(integration)) {
		throw new Refusal("name and integration are letters, digits, \"-\" and \"_\"", { construct: "request" });
	}
	if (type !== undefined && TYPES[type] === undefined) throw new Refusal("type is action, sync or on-event", { construct: "request" });
	return { name, integration, type: type === undefined ? undefined : TYPES[type] };
}

function filesOf(request, { name, integration, type }) {
	if (request.files !== undefined) {
		if (typeof request.entry !== "string") throw new Refusal("entry names one of the files", { construct: "request" });
		return { files: checkFiles(request.files), entry: request.entry };
	}
	if (typeof request.source !== "string") throw new Refusal("no source was given");
	const entry = `${integration}/${FOLDERS[type ?? "action"]}/${name}.ts`;
	return { files: checkFiles({ [entry]: request.source }), entry };
}

function attempt(step) {
	try {
		return step();
	} catch (error) {
		return { error };
	}
}

// The end of the names of a function's schemas, as the published command line makes it.
function schemaSuffix(integration, name) {
	return `${integration.replace(/[^a-zA-Z0-9]/g, "_")}_${name.replace(/[^a-zA-Z0-9]/g, "")}`;
}

// js: the function's bundle; parsed: its entry's syntax tree.  No types are checked here.
export async function translate(js, parsed, { name, integration, type }) {
	const map = inlineMap(js);
	const place = definitionPlaces(parsed);
	const read = () =>
		evaluate(js, { suffix: schemaSuffix(integration, name), place, trace: (line, column) => map?.trace(line, column) ?? null });
	// A dynamic import would reach out of the context that the module is loaded in: where the word occurs at all, the
	// module is loaded after the lowering has refused what it must, and at the same time elsewhere.
	const early = /\bimport\b/.test(js) ? null : read();
	const { code, error } = attempt(() => ({ code: lower(js, { name, integration }) }));
	if (error !== undefined) {
		// What was begun ends first: the next module finds the thread free.
		await early?.catch(() => {});
		throw error;
	}
	const { definition, schemas } = await (early ?? read());
	if (type !== undefined && definition.type !== type) {
		throw new Refusal(`a function of type ${definition.type} is where one of type ${type} belongs`, {
			...place(),
			construct: "definition",
			remedy: `create it with the function for ${type}, or move it`,
		});
	}
	const features = usesCheckpoints(parsed) ? ["checkpoints"] : [];
	return { js, code, schemas, definition, features, map: { typescript: tableOf(code, "typescript"), lines: tableOf(code, "lines") } };
}

async function compileNow(request, known) {
	const { files, entry } = filesOf(request, known);
	const { sources, parsed } = scan(files, [entry]);
	const types = request.typeCheck === false ? null : checkTypes(sources, entry);
	try {
		const out = await translate(await bundle(files, entry), parsed.get(entry), known);
		const errors = types === null ? [] : await types.result;
		if (errors.length > 0) throw Refusal.of(errors);
		return out;
	} finally {
		if (types !== null) await types.stop();
	}
}

// request: { source } or { files: { path: text }, entry }, and name, integration, type?, typeCheck? (default true).
// Answers { js, code, schemas, definition, features, map, cached }; equal requests have equal answers.  Throws a Refusal.
export async function compile(request) {
	const known = identity(request);
	const { source, files, entry, typeCheck } = request;
	const key = keyOf({ version, op: "compile", known, source, files, entry, typeCheck: typeCheck !== false });
	const text = cache.get(key);
	if (text !== undefined) return { ...JSON.parse(text), cached: true };
	const out = await compileNow(request, known);
	cache.put(key, JSON.stringify(out));
	return { ...out, cached: false };
}

// The same for the bundle of another command line: code only.
export function lowerCached(js, options) {
	if (typeof js !== "string") return { code: lower(js, options), cached: false };
	const key = keyOf({ version, op: "lower", options, js });
	const text = cache.get(key);
	if (text !== undefined) return { code: text, cached: true };
	const code = lower(js, options);
	cache.put(key, code);
	return { code, cached: false };
}
