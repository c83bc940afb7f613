// A project of functions on disk: what index.ts imports, and the deploy request made of it (wire.md 13).
import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";

import ts from "typescript";

import { bundle } from "./bundle.mjs";
import { translate } from "./compile.mjs";
import { MAX_SOURCE } from "./lower.mjs";
import { Refusal } from "./refusal.mjs";
import { decodeSource, placeIn, scan } from "./source.mjs";
import { checkTypes } from "./types.mjs";

const FOLDERS = { actions: "action", syncs: "sync", "on-events": "onEvent" };
const NAME = /^[A-Za-z0-9_-]{1,255}$/;
const INDEX = "index.ts";
const EVENTS = ["post-connection-creation", "pre-connection-deletion", "validate-connection"];
export const SDK_VERSION = "0.71.10-zero";

// What stops a deploy before anything is sent; refusals say where.
export class DeployError extends Error {
	constructor(cause) {
		const refusals = typeof cause === "string" ? [] : cause;
		const line = (each) => `${each.file === undefined ? "" : `${each.file}:${each.line}:${each.column}: `}${each.message}${each.remedy === undefined || each.message.includes(each.remedy) ? "" : ` (${each.remedy})`}`;
		super(typeof cause === "string" ? cause : refusals.map(line).join("\n"));
		this.refusals = refusals;
	}
}

// The files of a folder as a Map has them, read when they are asked for.
class Folder {
	#root;
	#texts = new Map();

	constructor(root) {
		this.#root = root;
	}

	has(path) {
		return this.#texts.has(path) || statSync(join(this.#root, path), { throwIfNoEntry: false })?.isFile() === true;
	}

	get(path) {
		const known = this.#texts.get(path);
		if (known !== undefined) return known;
		const full = join(this.#root, path);
		if (statSync(full).size > MAX_SOURCE) {
			throw new Refusal(`the file is larger than ${MAX_SOURCE} bytes`, { file: path, construct: "size", remedy: "keep data out of the code" });
		}
		const text = decodeSource(readFileSync(full), path);
		this.#texts.set(path, text);
		return text;
	}

	// Only what is looked for without being imported: declarations of globals beside index.ts.
	keys() {
		return readdirSync(this.#root).filter((name) => name.endsWith(".d.ts")).sort();
	}
}

function functionOf(files, specifier, at) {
	const refuse = (message, remedy) => {
		throw new Refusal(message, { ...at, construct: "import", remedy });
	};
	const parts = specifier.replace(/^\.\//, "").replace(/\.(js|ts)$/, "").split("/");
	const [integration, folder, name] = parts;
	if (parts.length !== 3 || FOLDERS[folder] === undefined) {
		refuse(`"${specifier}" is not <integration>/{actions,syncs,on-events}/<name>.js`, "import functions only, each from its folder");
	}
	if (!NAME.test(integration) || !NAME.test(name)) refuse(`"${specifier}": names are letters, digits, "-" and "_"`, "rename it");
	const file = `${parts.join("/")}.ts`;
	if (!files.has(file)) refuse(`${file} does not exist`, "create it, or leave it out of index.ts");
	return { file, integration, type: FOLDERS[folder], name, at };
}

// The functions that index.ts imports, in its order: [{ file, integration, type, name, at }].
function findFunctions(files) {
	const source = ts.createSourceFile(INDEX, files.get(INDEX), ts.ScriptTarget.ESNext);
	const found = [];
	const seen = new Map();
	for (const statement of source.statements) {
		if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) continue;
		if (!statement.moduleSpecifier || !ts.isStringLiteral(statement.moduleSpecifier)) continue;
		const { moduleSpecifier } = statement;
		const each = functionOf(files, moduleSpecifier.text, placeIn(source, moduleSpecifier.getStart(source)));
		const key = `${each.integration}/${each.type}/${each.name}`;
		if (seen.has(key)) {
			throw new Refusal(`${each.file} is imported twice`, { ...each.at, construct: "function name", remedy: `leave out this import; line ${seen.get(key).line} has it` });
		}
		seen.set(key, each.at);
		found.push(each);
	}
	return found;
}

const pick = (definitions, names) => Object.fromEntries(names.filter((name) => name !== null).map((name) => [name, definitions[name]]));

// The members and their order are those of the published command line; tests/clients/published.test.mjs holds them equal.
function syncConfig(each, { definition, schemas, features }, fileBody) {
	return {
		syncName: each.name,
		providerConfigKey: each.integration,
		models: schemas.models,
		version: definition.version ?? "",
		runs: definition.frequency,
		track_deletes: definition.trackDeletes,
		auto_start: definition.autoStart,
		attributes: {},
		metadata: aboutOf(definition),
		...(schemas.metadata === null ? {} : { input: schemas.metadata }),
		sync_type: definition.syncType,
		type: "sync",
		fileBody,
		endpoints: definition.endpoints,
		webhookSubscriptions: definition.webhookSubscriptions ?? [],
		models_json_schema: { definitions: pick(schemas.definitions, [...schemas.models, schemas.metadata]) },
		features,
	};
}

function actionConfig(each, { definition, schemas, features }, fileBody) {
	return {
		syncName: each.name,
		providerConfigKey: each.integration,
		models: [schemas.output],
		version: definition.version ?? "",
		runs: null,
		metadata: aboutOf(definition),
		...(schemas.input === null ? {} : { input: schemas.input }),
		type: "action",
		fileBody,
		endpoints: definition.endpoints,
		track_deletes: false,
		models_json_schema: { definitions: pick(schemas.definitions, [schemas.input, schemas.output]) },
		features,
	};
}

const aboutOf = ({ description, scopes }) => ({ ...(description === "" ? {} : { description }), scopes });

// Refusals of one step, added to the list; what the step answers, or undefined.
async function gather(refusals, step) {
	try {
		return await step();
	} catch (error) {
		if (!(error instanceof Refusal)) throw error;
		refusals.push(...error.all);
		return undefined;
	}
}

async function translateAll(files, functions, scanned, refusals) {
	const done = [];
	// The bundler is a process of its own: it makes the next bundle while this one is lowered.
	const begin = (each) => {
		const js = each && bundle(files, each.file);
		js?.catch(() => {});
		return js;
	};
	let next = begin(functions[0]);
	for (const [at, each] of functions.entries()) {
		const js = next;
		next = begin(functions[at + 1]);
		const parsed = scanned.parsed.get(each.file);
		const out = await gather(refusals, async () => translate(await js, parsed, each));
		if (out !== undefined) done.push([each, out]);
	}
	return done;
}

// By integration as index.ts names them first: its syncs, then its actions; and its on-event functions by event.
function requestOf(files, done) {
	const flowConfigs = [];
	const onEventScriptsByProvider = [];
	for (const integration of new Set(done.map(([{ integration }]) => integration))) {
		const list = done
			.filter(([each]) => each.integration === integration)
			.map(([each, out]) => ({ each, out, fileBody: { js: out.js, ts: files.get(each.file) } }));
		const of = (type) => list.filter(({ each }) => each.type === type);
		flowConfigs.push(
			...of("sync").map(({ each, out, fileBody }) => syncConfig(each, out, fileBody)),
			...of("action").map(({ each, out, fileBody }) => actionConfig(each, out, fileBody)),
		);
		const scripts = of("onEvent")
			.map(({ each, out, fileBody }) => ({ name: each.name, fileBody, event: out.definition.event }))
			.sort((a, b) => EVENTS.indexOf(a.event) - EVENTS.indexOf(b.event));
		if (scripts.length > 0) onEventScriptsByProvider.push({ providerConfigKey: integration, scripts });
	}
	return { flowConfigs, onEventScriptsByProvider, deployMode: "all", reconcile: false, debug: false, sdkVersion: SDK_VERSION };
}

// The body of /sync/deploy/confirmation for the project in `directory`.  typeCheck: its types must be right as well.
// Throws DeployError.
export async function readProject(directory, { typeCheck = false } = {}) {
	if (!existsSync(directory)) throw new DeployError(`${directory} does not exist`);
	const root = realpathSync(directory);
	if (!existsSync(join(root, INDEX))) throw new DeployError(`${directory} has no ${INDEX}`);
	const files = new Folder(root);
	const refusals = [];
	const functions = await gather(refusals, () => findFunctions(files));
	const scanned = functions && (await gather(refusals, () => scan(files, functions.map(({ file }) => file))));
	if (scanned === undefined) throw new DeployError(refusals);
	const types = typeCheck && functions.length > 0 ? checkTypes(scanned.sources, INDEX) : null;
	try {
		const done = await translateAll(files, functions, scanned, refusals);
		const known = new Set(refusals.map(({ file, line }) => `${file}:${line}`));
		if (types !== null) refusals.push(...(await types.result).filter(({ file, line }) => !known.has(`${file}:${line}`)));
		if (refusals.length > 0) throw new DeployError(refusals);
		return requestOf(files, done);
	} finally {
		if (types !== null) await types.stop();
	}
}
