// What our command line sends for a project is what the published one sends for it, field by field.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { lower } from "../../compiler/lib/lower.mjs";
import { locate } from "../../compiler/lib/maps.mjs";
import { readProject } from "../../compiler/lib/project.mjs";

const modules = fileURLToPath(new URL("../clients/node_modules", import.meta.url));
const source = fileURLToPath(new URL("published", import.meta.url));
const cli = join(modules, "nango/dist/index.js");
// The published command line wants a newer Node than Debian's.
const node = existsSync(join(modules, "node/bin/node")) ? join(modules, "node/bin/node") : process.execPath;
const skip = !existsSync(cli) && "the published clients are not installed";

const folder = mkdtempSync(join(tmpdir(), "sluice-published-"));
const project = join(folder, "project");
let server, theirs, ours;

// Answers every deploy with nothing to do, and keeps what was asked.
async function listen(requests) {
	const made = createServer((request, response) => {
		let text = "";
		request.on("data", (part) => (text += part));
		request.on("end", () => {
			requests.set(request.url, text === "" ? null : JSON.parse(text));
			const plan = { newSyncs: [], updatedSyncs: [], newActions: [], updatedActions: [], deletedSyncs: [], deletedActions: [], deletedModels: [], newOnEventScripts: [], updatedOnEventScripts: [], deletedOnEventScripts: [] };
			response.writeHead(200, { "content-type": "application/json" });
			response.end(JSON.stringify(request.url.endsWith("/confirmation") ? plan : []));
		});
	});
	await new Promise((resolve) => made.listen(0, "127.0.0.1", resolve));
	return made;
}

function deployTheirs(port) {
	return new Promise((resolve) => {
		const env = {
			PATH: process.env.PATH, HOME: folder, NANGO_HOSTPORT: `http://127.0.0.1:${port}`, NANGO_SECRET_KEY_DEV: "k",
			NANGO_CLI_UPGRADE_MODE: "ignore", NANGO_DEPLOY_AUTO_CONFIRM: "true", NANGO_CLI_TELEMETRY: "false", NANGO_CLI_DEPENDENCY_UPDATE: "false",
		};
		const child = spawn(node, [cli, "deploy", "dev", "--auto-confirm"], { cwd: project, env, stdio: ["ignore", "pipe", "pipe"] });
		let output = "";
		for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => (output += part));
		child.on("close", (code) => resolve({ code, output }));
	});
}

before(async () => {
	if (skip) return;
	cpSync(source, project, { recursive: true });
	symlinkSync(modules, join(folder, "node_modules"));
	const requests = new Map();
	server = await listen(requests);
	const { code, output } = await deployTheirs(server.address().port);
	theirs = requests.get("/sync/deploy/confirmation");
	assert.ok(code === 0 && theirs, output);
	ours = JSON.parse(JSON.stringify(await readProject(project, { typeCheck: true })));
});
after(() => {
	server?.close();
	rmSync(folder, { recursive: true, force: true });
});

const withoutCode = ({ fileBody, ...flow }) => flow;
const nameOf = ({ providerConfigKey, syncName }) => `${providerConfigKey}/${syncName}`;

test("the same functions in the same order, with the same members in the same order", { skip }, () => {
	assert.deepEqual(Object.keys(ours), Object.keys(theirs));
	assert.deepEqual(ours.flowConfigs.map(nameOf), theirs.flowConfigs.map(nameOf));
	for (const [at, flow] of theirs.flowConfigs.entries()) assert.deepEqual(Object.keys(ours.flowConfigs[at]), Object.keys(flow), nameOf(flow));
	assert.deepEqual({ ...ours, flowConfigs: 0, onEventScriptsByProvider: 0 }, { ...theirs, flowConfigs: 0, onEventScriptsByProvider: 0 });
});

test("each function is described byte for byte as the published command line does", { skip }, () => {
	for (const [at, flow] of theirs.flowConfigs.entries()) {
		const mine = ours.flowConfigs[at];
		for (const member of Object.keys(withoutCode(flow))) {
			if (member === "models_json_schema") continue;
			assert.equal(JSON.stringify(mine[member]), JSON.stringify(flow[member]), `${nameOf(flow)}: ${member}`);
		}
		assert.equal(mine.fileBody.ts, flow.fileBody.ts);
	}
});

// The pattern of a format (email, uuid, ...) is that of the zod in use, and the published command line has an older one.
const textOf = (schema) => JSON.stringify(schema, (_key, each) => (each?.format && each.pattern ? { ...each, pattern: "of zod" } : each));

test("the JSON schemas are byte for byte those of the published command line", { skip }, () => {
	for (const [at, flow] of theirs.flowConfigs.entries()) {
		const [mine, published] = [ours.flowConfigs[at], flow].map((each) => each.models_json_schema.definitions);
		assert.deepEqual(Object.keys(mine), Object.keys(published));
		for (const [name, schema] of Object.entries(published)) {
			for (const [property, each] of Object.entries(schema.properties ?? {})) {
				assert.equal(textOf(mine[name].properties[property]), textOf(each), `${name}.${property}`);
			}
			assert.equal(textOf(mine[name]), textOf(schema), name);
		}
	}
});

test("on-event functions are grouped and ordered as the published command line does", { skip }, () => {
	const plain = (list) => list.map(({ providerConfigKey, scripts }) => [providerConfigKey, scripts.map(({ fileBody, ...script }) => ({ ...script, ts: fileBody.ts }))]);
	assert.equal(JSON.stringify(plain(ours.onEventScriptsByProvider)), JSON.stringify(plain(theirs.onEventScriptsByProvider)));
});

// The line of the TypeScript that the first line of compiled code with a word comes from.
function sourceOf(code, word) {
	const at = code.split("\n").findIndex((line) => line.includes(word));
	assert.ok(at >= 0, `${word} is not in the compiled code`);
	return locate(code, at + 1).source;
}
const fileOf = (path) => path.split("/").slice(-2).join("/");

test("the published bundle and ours lower to code whose positions lead to the same lines", { skip }, () => {
	for (const [at, flow] of theirs.flowConfigs.entries()) {
		const name = { name: flow.syncName, integration: flow.providerConfigKey };
		const [mine, published] = [ours.flowConfigs[at].fileBody.js, flow.fileBody.js].map((js) => lower(js, name));
		for (const word of ["toUpperCase", '"/notes"', "batchSave", "saveCheckpoint", "createHash"]) {
			if (!published.includes(word)) continue;
			const [a, b] = [sourceOf(mine, word), sourceOf(published, word)];
			assert.equal(fileOf(a.file), fileOf(b.file), `${nameOf(flow)}: ${word}`);
			const text = ["project", folder].includes(a.file) ? "" : a.file;
			assert.ok(text, word);
		}
	}
});
