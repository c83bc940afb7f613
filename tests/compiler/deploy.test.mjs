// Projects: what is found, what is sent, and what stops a deploy before anything is sent.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import { readProject } from "../../compiler/lib/project.mjs";
import { haveEngine, run } from "./engine.mjs";

const program = fileURLToPath(new URL("../../compiler/bin/sluice-deploy.mjs", import.meta.url));
const example = fileURLToPath(new URL("../../templates/example", import.meta.url));
const base = mkdtempSync(join(tmpdir(), "sluice-deploy-"));
after(() => rmSync(base, { recursive: true, force: true }));

let count = 0;
function project(files) {
	const root = join(base, `p${++count}`);
	for (const [name, text] of Object.entries(files)) {
		mkdirSync(dirname(join(root, name)), { recursive: true });
		writeFileSync(join(root, name), text);
	}
	return root;
}

const ACTION = `import { createAction } from "nango"; import * as z from "zod";
export default createAction({ description: "d", input: z.object({ a: z.string() }), output: z.void(), exec: async () => {} });`;
const one = (text) => project({ "index.ts": 'import "./crm/actions/one.js";', "crm/actions/one.ts": text });

const exampleFlow = (body, name) => body.flowConfigs.find((flow) => flow.syncName === name);

test("the example becomes flow configs of the published shape", async () => {
	const body = await readProject(example);
	assert.deepEqual(Object.keys(body), ["flowConfigs", "onEventScriptsByProvider", "deployMode", "reconcile", "debug", "sdkVersion"]);
	assert.deepEqual(body.flowConfigs.map((each) => [each.syncName, each.type]), [["contacts", "sync"], ["contact-summary", "action"]]);
	const sync = exampleFlow(body, "contacts");
	assert.deepEqual([sync.runs, sync.auto_start, sync.models], ["every hour", true, ["Contact"]]);
	const flow = exampleFlow(body, "contact-summary");
	assert.equal(flow.providerConfigKey, "demo-crm");
	assert.equal(flow.input, "ActionInput_demo_crm_contactsummary");
	assert.deepEqual(flow.models, ["ActionOutput_demo_crm_contactsummary"]);
	assert.deepEqual(flow.models_json_schema.definitions[flow.input], {
		type: "object",
		properties: { contactId: { type: "string" } },
		required: ["contactId"],
		additionalProperties: false,
	});
	assert.deepEqual(flow.endpoints, [{ method: "GET", path: "/contact-summary", group: "Contacts" }]);
	assert.match(flow.fileBody.js, /sourceMappingURL=data:/);
	assert.doesNotMatch(flow.fileBody.js, /require\("nango"\)/);
	assert.match(flow.fileBody.ts, /createAction/);
	assert.equal(flow.runs, null);
	assert.equal(flow.type, "action");
});

test("the example runs under the engine", { skip: !haveEngine && "no duk" }, async () => {
	const flow = exampleFlow(await readProject(example), "contact-summary");
	const http = `function (m) { return m.endpoint === "/contacts/42"
		? { body: '{"id":"42","name":"Ada","email":"a@b","company":"C","city":"Z"}' }
		: { body: '{"deals":[{"id":"1","title":"t","amount":3,"currency":"EUR","stage":"won"},{"id":"2","title":"t","amount":4,"currency":"EUR","stage":"open"}]}' }; }`;
	const report = run(flow.fileBody.js, { input: { contactId: "42" }, http });
	assert.deepEqual(report.result, { id: "42", name: "Ada", email: "a@b", company: "C", deals: 2, won: 3, open: 4 });
	assert.deepEqual(report.calls.map(({ meta }) => [meta.endpoint, meta.retries]), [["/contacts/42", 3], ["/contacts/42/deals", 3]]);
});

test("the bundle of one source is always the same, wherever the project lies", async () => {
	const copy = join(base, "copy");
	cpSync(example, copy, { recursive: true });
	assert.equal(JSON.stringify(await readProject(example)), JSON.stringify(await readProject(copy)));
});

test("schemas: any, void, dates, unions and recursion", async () => {
	const root = one(`import { createAction } from "nango"; import * as z from "zod";
		const Tree = z.object({ name: z.string(), get kids() { return z.array(Tree) } });
		export default createAction({ description: "d", input: z.any(), output: z.object({ v: z.void().optional(), at: z.date(), u: z.union([z.string(), z.null()]), t: Tree, d: z.string().default("x") }), exec: async () => ({}) });`);
	const { definitions } = (await readProject(root)).flowConfigs[0].models_json_schema;
	assert.deepEqual(definitions.ActionInput_crm_one, {});
	const { properties, required } = definitions.ActionOutput_crm_one;
	assert.deepEqual(properties.at, { type: "string", format: "date-time" });
	assert.deepEqual(properties.v, {}, "void is null at the top only");
	assert.deepEqual(properties.u, { anyOf: [{ type: "string" }, { type: "null" }] });
	// Each definition is a document of its own: a reference in it starts at the definition.
	const [reference] = /(?<="\$ref":")[^"]+/.exec(JSON.stringify(definitions));
	const target = reference.slice(2).split("/").reduce((at, key) => at[key], definitions.ActionOutput_crm_one);
	assert.deepEqual(Object.keys(target.properties), ["name", "kids"]);
	assert.ok(required.includes("d"), "what zod answers has the default");
	assert.deepEqual((await readProject(one(ACTION))).flowConfigs[0].models_json_schema.definitions.ActionOutput_crm_one, { type: "null" });
});

test("syncs and on-event functions have their places", async () => {
	const root = project({
		"index.ts": 'import "./crm/syncs/items.js";\nimport "./crm/on-events/hello.js";',
		"crm/shared.ts": "export const twice = (n: number) => n * 2;",
		"crm/syncs/items.ts": `import { createSync } from "nango"; import * as z from "zod"; import { twice } from "../shared.js";
			export default createSync({ description: "d", frequency: "every hour", version: "2.0.0", models: { Item: z.object({ id: z.string() }) }, metadata: z.object({ m: z.string() }),
				autoStart: false, syncType: "incremental", checkpoint: z.object({ at: z.string() }), webhookSubscriptions: ["*"], exec: async (nango) => { twice(2); await nango.clearCheckpoint(); } });`,
		"crm/on-events/hello.ts": `import { createOnEvent } from "nango";
			export default createOnEvent({ description: "d", event: "post-connection-creation", exec: async () => {} });`,
	});
	const body = await readProject(root);
	const { fileBody, ...flow } = body.flowConfigs[0];
	assert.match(fileBody.js, /twice/);
	assert.deepEqual(flow, {
		syncName: "items",
		providerConfigKey: "crm",
		models: ["Item"],
		version: "2.0.0",
		runs: "every hour",
		track_deletes: false,
		auto_start: false,
		attributes: {},
		metadata: { description: "d", scopes: [] },
		input: "SyncMetadata_crm_items",
		sync_type: "incremental",
		type: "sync",
		endpoints: [],
		webhookSubscriptions: ["*"],
		models_json_schema: flow.models_json_schema,
		features: ["checkpoints"],
	});
	assert.deepEqual(Object.keys(flow.models_json_schema.definitions).sort(), ["Item", "SyncMetadata_crm_items"]);
	assert.equal(body.onEventScriptsByProvider[0].providerConfigKey, "crm");
	assert.equal(body.onEventScriptsByProvider[0].scripts[0].event, "post-connection-creation");
});

const REFUSED = {
	"no index.ts": [() => project({ "x.ts": "" }), /no index\.ts/],
	"a path of another layout": [() => project({ "index.ts": 'import "./one.js";' }), /is not <integration>/],
	"a file that is missing": [() => project({ "index.ts": 'import "./crm/actions/gone.js";' }), /gone\.ts does not exist/],
	"a name with quotes": [() => project({ "index.ts": `import "./crm/actions/o'ne.js";`, "crm/actions/o'ne.ts": ACTION }), /names are/],
	"one function twice": [() => project({ "index.ts": 'import "./crm/actions/one.js"; import "./crm/actions/one";', "crm/actions/one.ts": ACTION }), /imported twice/],
	"a module that is not allowed": [() => one(`import fs from "node:fs"; ${ACTION} fs;`), /one\.ts:1:\d+: module "node:fs"/],
	"an import from outside": [() => one(`import "../../../../etc/passwd"; ${ACTION}`), /outside of the project/],
	"a syntax error": [() => one("export default {;"), /one\.ts:1:\d+/],
	"no default export": [() => one("export const a = 1;"), /export default createAction/],
	"a plain object": [() => one("export default { exec() {} };"), /export default createAction/],
	"a missing output schema": [() => one(ACTION.replace("output: z.void(),", "")), /needs an output schema/],
	"a schema that is none": [() => one(ACTION.replace("z.void()", "5")), /not a zod schema/],
	"a module that throws": [() => one(`throw new Error("at load"); ${ACTION}`), /cannot be loaded: at load/],
	"a module that never ends": [() => one(`for (;;); ${ACTION}`), /takes longer than 5 s/],
	"an action in the folder of syncs": [() => project({ "index.ts": 'import "./crm/syncs/one.js";', "crm/syncs/one.ts": ACTION }), /a function of type action is where one of type sync belongs/],
	"what the runner cannot run": [() => one(ACTION.replace("=> {}", '=> { eval("1") }')), /eval cannot run here/],
};
for (const [what, [make, message]] of Object.entries(REFUSED)) {
	test(`a deploy stops at ${what}`, async () => {
		await assert.rejects(readProject(make()), (error) => {
			assert.equal(error.name, "Error");
			assert.match(error.message, message);
			return true;
		});
	});
}

test("an import cycle works", async () => {
	const root = project({
		"index.ts": 'import "./crm/actions/one.js";',
		"crm/a.ts": 'import { b } from "./b.js"; export const a = () => b; export const x = 1;',
		"crm/b.ts": 'import { a } from "./a.js"; export const b = () => a;',
		"crm/actions/one.ts": `import { a } from "../a.js"; ${ACTION.replace("=> {}", "=> { a() }")}`,
	});
	assert.equal((await readProject(root)).flowConfigs.length, 1);
});

function deploy(args, environment = {}) {
	return new Promise((resolve) => {
		const env = { PATH: process.env.PATH, ...environment };
		execFile(process.execPath, [program, ...args], { env }, (error, stdout, stderr) =>
			resolve({ code: error ? error.code : 0, stdout, stderr }),
		);
	});
}

async function withServer(answers, body) {
	const requests = [];
	const server = createServer((request, response) => {
		let text = "";
		request.on("data", (chunk) => (text += chunk));
		request.on("end", () => {
			requests.push({ url: request.url, headers: request.headers, body: JSON.parse(text) });
			const [status, answer] = answers[request.url];
			response.writeHead(status, { "content-type": "application/json" });
			response.end(typeof answer === "string" ? answer : JSON.stringify(answer));
		});
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	try {
		await body(`http://127.0.0.1:${server.address().port}/`, requests);
	} finally {
		server.close();
	}
}

const PLAN = { newActions: [{ name: "contact-summary", providerConfigKey: "demo-crm" }], deletedSyncs: [{ name: "old", providerConfigKey: "demo-crm" }] };

test("a deploy asks for the plan, deploys, and prints both", async () => {
	const answers = {
		"/sync/deploy/confirmation": [200, PLAN],
		"/sync/deploy": [200, [{ name: "contact-summary", version: "1.0.0", type: "action" }]],
	};
	await withServer(answers, async (host, requests) => {
		const done = await deploy([example, "--env", "dev"], { NANGO_HOSTPORT: host, NANGO_SECRET_KEY_DEV: "k" });
		assert.equal(done.stderr, "");
		assert.equal(done.stdout, "+ action demo-crm/contact-summary\n- sync demo-crm/old\ncontact-summary@v1.0.0\n");
		assert.equal(done.code, 0);
		assert.deepEqual(requests.map(({ url }) => url), ["/sync/deploy/confirmation", "/sync/deploy"]);
		assert.equal(requests[0].headers.authorization, "Bearer k");
		assert.deepEqual([requests[0].body.reconcile, requests[1].body.reconcile], [false, true]);
		assert.deepEqual([requests[1].body.nangoYamlBody, requests[1].body.source, requests[1].body.sdkVersion], ["", "repo", "0.71.10-zero"]);
		const asJson = await deploy([example, "--env", "dev", "--host", host, "--key", "k", "--json"]);
		assert.deepEqual(JSON.parse(asJson.stdout).plan, PLAN);
	});
});

test("errors of a project are printed with their line and a remedy, and nothing is sent", async () => {
	const root = project({
		"index.ts": 'import "./crm/actions/one.js";\nimport "./crm/actions/two.js";',
		"crm/actions/one.ts": ACTION.replace("=> {}", '=> { eval("1") }'),
		"crm/actions/two.ts": `${ACTION}\nconst n: number = "x";`,
	});
	await withServer({}, async (host, requests) => {
		const args = [root, "--env", "dev", "--host", host, "--key", "k"];
		const done = await deploy(args);
		assert.deepEqual([done.code, done.stdout, requests.length], [1, "", 0]);
		assert.match(done.stderr, /^crm\/actions\/one\.ts:2:123 - error: eval cannot run here: code cannot be made from strings\n {2}2 \| export default.*\n {4}\| +\^\n\n/);
		assert.match(done.stderr, /crm\/actions\/two\.ts:3:7 - error: Type 'string' is not assignable to type 'number'\.\n {2}3 \| const n: number = "x";\n {4}\| {7}\^\n {2}remedy: .+\n\n2 errors in 2 files\n$/);
		const json = JSON.parse((await deploy([...args, "--json"])).stdout);
		assert.deepEqual(json.errors.map(({ file, line, construct }) => [file, line, construct]), [["crm/actions/one.ts", 2, "eval"], ["crm/actions/two.ts", 3, "type error TS2322"]]);
		const unchecked = await deploy([...args, "--no-type-check"]);
		assert.match(unchecked.stderr, /1 error in 1 file\n$/);
	});
});

test("41: a duplicate, bytes that are no UTF-8 and a huge file are refused with their place", async () => {
	const refusal = async (root) => {
		try {
			await readProject(root);
		} catch (error) {
			const [{ file, line, column, construct }] = error.refusals;
			return [file, line, column, construct];
		}
		return null;
	};
	const twice = project({ "index.ts": 'import "./crm/actions/one.js";\nimport "./crm/actions/one";', "crm/actions/one.ts": ACTION });
	assert.deepEqual(await refusal(twice), ["index.ts", 2, 8, "function name"]);
	assert.deepEqual(await refusal(one(Buffer.concat([Buffer.from(`${ACTION}\n// `), Buffer.from([0xc3, 0x28])]))), ["crm/actions/one.ts", 3, 4, "encoding"]);
	assert.deepEqual(await refusal(one(`// ${"x".repeat(3e6)}\n${ACTION}`)), ["crm/actions/one.ts", 1, 2000001, "size"]);
	assert.deepEqual(await refusal(one(Buffer.alloc(51e6, 10))), ["crm/actions/one.ts", 1, 1, "size"]);
});

test("what the server refuses is printed, and nothing follows", async () => {
	const error = { error: { code: "invalid_body", message: "bad", errors: [{ code: "custom", message: "no", path: ["flowConfigs", 0] }] } };
	await withServer({ "/sync/deploy/confirmation": [400, error] }, async (host, requests) => {
		const done = await deploy([example, "--env", "dev", "--host", host, "--key", "k"]);
		assert.equal(done.code, 1);
		assert.match(done.stderr, /invalid_body: bad\n {2}flowConfigs\.0: no/);
		assert.equal(requests.length, 1);
	});
	await withServer({ "/sync/deploy/confirmation": [502, "<html>"] }, async (host) => {
		const done = await deploy([example, "--env", "dev", "--host", host, "--key", "k"]);
		assert.deepEqual([done.code, /502 without JSON/.test(done.stderr)], [1, true]);
	});
});

test("usage and an absent server have exit codes of their own", async () => {
	assert.equal((await deploy([])).code, 2);
	assert.equal((await deploy([example, "--env", "dev"])).code, 2);
	assert.equal((await deploy([example, "--env", "dev", "--host", "http://x"])).code, 2);
	assert.equal((await deploy([example, "--nope"])).code, 2);
	const away = await deploy([example, "--env", "dev", "--host", "http://127.0.0.1:1", "--key", "k"]);
	assert.equal(away.code, 3);
	assert.match(away.stderr, /cannot be reached/);
});
