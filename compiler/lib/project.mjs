// A project of functions: what index.ts imports, and the deploy request made of it (wire.md 13).
import { readFile } from "node:fs/promises";
import { existsSync, realpathSync } from "node:fs";
import { join, relative } from "node:path";

import ts from "typescript";

import { DeployError, bundle, definitionOf, zodOf } from "./bundle.mjs";
import { lower } from "./lower.mjs";

const FOLDERS = { actions: "action", syncs: "sync", "on-events": "onEvent" };
const EVENTS = ["post-connection-creation", "pre-connection-deletion", "validate-connection"];
const NAME = /^[A-Za-z0-9_-]{1,255}$/;
export const SDK_VERSION = "0.71.10-zero";

// The function files that index.ts imports, in its order: [{ file, integration, type, name }].
export async function findFunctions(root) {
	const index = join(root, "index.ts");
	if (!existsSync(index)) throw new DeployError(`${root} has no index.ts`);
	const text = await readFile(index, "utf8");
	const source = ts.createSourceFile("index.ts", text, ts.ScriptTarget.ESNext);
	const found = [];
	for (const statement of source.statements) {
		if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) continue;
		if (!statement.moduleSpecifier || !ts.isStringLiteral(statement.moduleSpecifier)) continue;
		found.push(functionOf(root, statement.moduleSpecifier.text));
	}
	const seen = new Set();
	for (const each of found) {
		const key = `${each.integration}/${each.type}/${each.name}`;
		if (seen.has(key)) throw new DeployError(`index.ts: ${each.file} is imported twice`);
		seen.add(key);
	}
	return found;
}

function functionOf(root, specifier) {
	const parts = specifier.replace(/^\.\//, "").replace(/\.(js|ts)$/, "").split("/");
	const [integration, folder, name] = parts;
	const file = join(root, `${parts.join("/")}.ts`);
	if (parts.length !== 3 || FOLDERS[folder] === undefined) {
		throw new DeployError(`index.ts: "${specifier}" is not <integration>/{actions,syncs,on-events}/<name>.js`);
	}
	if (!NAME.test(integration) || !NAME.test(name)) {
		throw new DeployError(`index.ts: "${specifier}": names are letters, digits, "-" and "_"`);
	}
	if (!existsSync(file)) throw new DeployError(`index.ts: ${relative(root, file)} does not exist`);
	return { file: relative(root, file), integration, type: FOLDERS[folder], name };
}

// The JSON schema of one model.  $schema and the zod marks stay out: definitions are parts of one document.
function schemaOf(zod, schema, label) {
	try {
		const { $schema: ignored, "~standard": mark, ...json } = zod.toJSONSchema(schema, {
			target: "draft-7",
			unrepresentable: "any",
			io: "input",
			override: ({ zodSchema, jsonSchema }) => {
				const { type } = zodSchema._zod.def;
				if (type === "void" || type === "undefined") jsonSchema.type = "null";
				if (type === "date") Object.assign(jsonSchema, { type: "string", format: "date-time" });
			},
		});
		return json;
	} catch (error) {
		throw new DeployError(`${label} has no JSON schema: ${error.message}`);
	}
}

function isSchema(value) {
	return value !== null && typeof value === "object" && value._zod !== undefined;
}

function definitions(zod, each, definition) {
	const out = {};
	const suffix = `${each.integration}_${each.name}`;
	const add = (name, schema) => {
		if (schema === undefined) return undefined;
		if (!isSchema(schema)) throw new DeployError(`${each.file}: ${name} is not a zod schema`);
		out[name] = schemaOf(zod, schema, `${each.file}: ${name}`);
		return name;
	};
	const names = { input: undefined, models: [] };
	if (each.type === "action") {
		names.input = add(`ActionInput_${suffix}`, definition.input);
		if (definition.output === undefined) throw new DeployError(`${each.file}: an action needs an output schema`);
		names.models = [add(`ActionOutput_${suffix}`, definition.output)];
	} else if (each.type === "sync") {
		names.input = add(`SyncMetadata_${suffix}`, definition.metadata);
		names.models = Object.entries(definition.models ?? {}).map(([name, schema]) => add(name, schema));
		if (names.models.length === 0) throw new DeployError(`${each.file}: a sync needs models`);
	}
	return { schema: { definitions: out }, ...names };
}

function endpointsOf(definition) {
	return (definition.endpoints ?? (definition.endpoint ? [definition.endpoint] : [])).map(({ method, path, group }) => ({
		method,
		path,
		...(group === undefined ? {} : { group }),
	}));
}

function flowConfig(each, definition, described, fileBody) {
	const sync = each.type === "sync";
	const out = {
		syncName: each.name,
		providerConfigKey: each.integration,
		models: described.models,
		...(definition.version === undefined ? {} : { version: definition.version }),
		runs: sync ? (definition.frequency ?? null) : null,
		track_deletes: sync ? (definition.trackDeletes ?? false) : false,
		auto_start: sync ? definition.autoStart !== false : true,
		attributes: {},
		metadata: { description: definition.description ?? "", scopes: definition.scopes ?? [] },
		...(described.input === undefined ? {} : { input: described.input }),
		...(sync ? { sync_type: definition.syncType ?? "full" } : {}),
		type: each.type,
		fileBody,
		endpoints: endpointsOf(definition),
		...(definition.webhookSubscriptions ? { webhookSubscriptions: definition.webhookSubscriptions } : {}),
		models_json_schema: described.schema,
		features: definition.checkpoint === undefined ? [] : ["checkpoints"],
	};
	return out;
}

function checkType(each, definition) {
	if (definition.type !== each.type) {
		throw new DeployError(`${each.file}: a function of type ${definition.type} is in the folder of type ${each.type}`);
	}
	if (each.type === "onEvent" && !EVENTS.includes(definition.event)) {
		throw new DeployError(`${each.file}: event is one of ${EVENTS.join(", ")}`);
	}
}

// Refuses here what the server would refuse, before anything is sent.
function checkRuns(each, js) {
	try {
		lower(js, each);
	} catch (error) {
		throw new DeployError(`${each.file}: ${error.message} (bundle line ${error.line}, column ${error.column})`);
	}
}

// The body of /sync/deploy/confirmation for the project in `directory`.
export async function readProject(directory) {
	if (!existsSync(directory)) throw new DeployError(`${directory} does not exist`);
	const root = realpathSync(directory);
	const { zod } = zodOf(root);
	const flowConfigs = [];
	const scripts = new Map();
	for (const each of await findFunctions(root)) {
		const js = await bundle(root, each.file);
		checkRuns(each, js);
		const definition = definitionOf(js, each.file, zod);
		checkType(each, definition);
		const fileBody = { js, ts: await readFile(join(root, each.file), "utf8") };
		if (each.type === "onEvent") {
			const list = scripts.get(each.integration) ?? [];
			list.push({ name: each.name, event: definition.event, fileBody });
			scripts.set(each.integration, list);
		} else {
			flowConfigs.push(flowConfig(each, definition, definitions(zod, each, definition), fileBody));
		}
	}
	const onEventScriptsByProvider = [...scripts].map(([providerConfigKey, list]) => ({ providerConfigKey, scripts: list }));
	const body = {
		flowConfigs,
		onEventScriptsByProvider,
		deployMode: "all",
		reconcile: false,
		debug: false,
		sdkVersion: SDK_VERSION,
	};
	// Plain data of this realm: the definitions were made in contexts of their own.
	return JSON.parse(JSON.stringify(body));
}
