// The op "compile": what it answers, that equal requests have equal answers, and where positions lead.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";

import { Cache, keyOf } from "../../compiler/lib/cache.mjs";
import { compile } from "../../compiler/lib/compile.mjs";
import { lower } from "../../compiler/lib/lower.mjs";
import { SourceMap, inlineMap, locate } from "../../compiler/lib/maps.mjs";
import { Refusal, placeOf } from "../../compiler/lib/refusal.mjs";
import { report } from "../../compiler/lib/report.mjs";
import { haveEngine, run } from "./engine.mjs";
import { actionSource, start } from "./rig.mjs";

const names = { name: "fn", integration: "crm" };
const quick = (source, more = {}) => compile({ source, ...names, typeCheck: false, ...more });
async function refusal(request) {
	try {
		await compile({ ...names, ...request });
	} catch (error) {
		assert.ok(error instanceof Refusal, String(error.stack));
		return error;
	}
	return assert.fail("not refused");
}

test("an action has js, code, schemas, definition and map", async () => {
	const source = `import { createAction } from "nango";
import * as z from "zod";
export default createAction({
	description: "What it does", version: "1.2.3", endpoint: { method: "POST", path: "/x", group: "G" }, scopes: ["a"],
	input: z.object({ id: z.string() }), output: z.void(), metadata: z.object({ m: z.number() }), checkpoint: z.object({ at: z.string() }),
	exec: async (nango, input) => { await nango.log(input.id); },
});
`;
	const out = await compile({ source, ...names, type: "action" });
	assert.deepEqual(out.definition, {
		type: "action",
		description: "What it does",
		version: "1.2.3",
		scopes: ["a"],
		endpoints: [{ method: "POST", path: "/x", group: "G" }],
	});
	assert.deepEqual(out.schemas, {
		definitions: {
			ActionInput_crm_fn: { type: "object", properties: { id: { type: "string" } }, required: ["id"], additionalProperties: false },
			ActionOutput_crm_fn: { type: "null" },
			ActionMetadata_crm_fn: { type: "object", properties: { m: { type: "number" } }, required: ["m"], additionalProperties: false },
			ActionCheckpoint_crm_fn: { type: "object", properties: { at: { type: "string" } }, required: ["at"], additionalProperties: false },
		},
		input: "ActionInput_crm_fn",
		output: "ActionOutput_crm_fn",
		models: [],
		metadata: "ActionMetadata_crm_fn",
		checkpoint: "ActionCheckpoint_crm_fn",
	});
	assert.match(out.js, /sourceMappingURL=data:/);
	assert.doesNotMatch(out.code, /=>|async |sourceMapping/);
	assert.match(out.map.typescript, /^crm\/actions\/fn\.ts;/);
});

test("a sync has models, an on-event function its event", async () => {
	const sync = `import { createSync } from "nango";
import * as z from "zod";
export default createSync({ description: "d", frequency: "every hour", models: { Item: z.object({ id: z.string() }), Other: z.object({ id: z.string(), at: z.date() }) },
	syncType: "incremental", autoStart: false, trackDeletes: false, webhookSubscriptions: ["*"], metadata: z.object({ a: z.string().optional() }),
	exec: async (nango) => { await nango.batchSave([{ id: "1" }], "Item"); }, onWebhook: async () => {} });`;
	const out = await compile({ source: sync, ...names, type: "sync" });
	assert.deepEqual(out.schemas.models, ["Item", "Other"]);
	assert.equal(out.schemas.metadata, "SyncMetadata_crm_fn");
	assert.deepEqual(Object.keys(out.schemas.definitions), ["Item", "Other", "SyncMetadata_crm_fn"]);
	assert.deepEqual(out.definition, {
		type: "sync",
		description: "d",
		version: null,
		scopes: [],
		endpoints: [],
		frequency: "every hour",
		syncType: "incremental",
		autoStart: false,
		trackDeletes: false,
		webhookSubscriptions: ["*"],
		onWebhook: true,
	});
	const event = 'import { createOnEvent } from "nango";\nexport default createOnEvent({ description: "d", event: "validate-connection", exec: async () => {} });';
	assert.equal((await compile({ source: event, ...names, type: "on-event" })).definition.event, "validate-connection");
});

test("what exists in a run only does not stop the reading of a definition", async () => {
	const before = `import { createHash } from "crypto"; import { URL as Address } from "node:url";
const base = new URL("https://example.com/a").origin; const bytes = Buffer.from("x").toString("hex"); const digest = createHash("md5").update(base).digest("hex");
console.log(new TextEncoder().encode(bytes), digest, new Address("http://x").host); setTimeout(() => {}, 10);`;
	assert.equal((await quick(actionSource("return base + bytes", before))).definition.description, "d");
});

test("a type error names file, line, column, the type and a remedy, all of them at once", async () => {
	const files = { "crm/actions/fn.ts": actionSource("\tconst a: number = 'x';\n\treturn a + two(input.m);", 'import { two } from "../lib.js";'), "crm/lib.ts": "export const two = (n) => n;\n" };
	const error = await refusal({ files, entry: "crm/actions/fn.ts" });
	assert.deepEqual(
		error.toJSON().errors.map(({ file, line, column, construct }) => [file, line, column, construct]),
		[
			["crm/actions/fn.ts", 5, 8, "type error TS2322"],
			["crm/actions/fn.ts", 6, 23, "type error TS2339"],
			["crm/lib.ts", 1, 21, "type error TS7006"],
		],
	);
	assert.ok(error.all.every(({ remedy }) => remedy.length > 0));
	assert.equal((await compile({ files, entry: "crm/actions/fn.ts", ...names, typeCheck: false })).ok, undefined);
});

test("the types are those of the runner: its modules are known, Node's globals are not", async () => {
	const known = `import { createHash, randomUUID } from "node:crypto"; import { Buffer as B } from "buffer"; import { URL as U } from "url";
const key: string = createHash("sha256").update(B.from(randomUUID())).digest("base64url"); const u: URL = new U("https://x/"); u.searchParams.set("a", key);
const wait = () => new Promise((resolve) => setTimeout(resolve, 5)); let timer: NodeJS.Timeout = setTimeout((a: number) => a, 5, 1); clearTimeout(timer);`;
	assert.equal((await compile({ source: actionSource("return key", known), ...names })).cached, false);
	const error = await refusal({ source: actionSource("return process.env.HOME") });
	assert.deepEqual([error.line, error.column, error.construct], [5, 8, "type error TS2591"]);
	assert.match(error.remedy, /getEnvironmentVariables/);
	assert.doesNotMatch(error.message, /npm i/);
});

test("equal requests have equal answers, from the cache and from another process", async () => {
	const source = actionSource("return [...(await nango.get({ endpoint: '/a' })).data]");
	const first = await quick(source);
	const again = await quick(source);
	assert.deepEqual([first.cached, again.cached], [false, true]);
	assert.deepEqual({ ...again, cached: false }, first);
	const worker = start();
	await worker.next();
	const { id, ok, ms, ...other } = await worker.ask({ id: 1, op: "compile", source, ...names, typeCheck: false });
	assert.deepEqual([id, ok, typeof ms], [1, true, "number"]);
	assert.deepEqual(other, first);
	const js = first.js;
	const lowered = [await worker.ask({ id: 2, op: "lower", js, ...names }), await worker.ask({ id: 3, op: "lower", js, ...names })];
	assert.deepEqual(lowered.map((each) => [each.code === first.code, each.cached]), [[true, false], [true, true]]);
	assert.equal(await worker.end(), 0);
});

test("the cache is bounded in number and size and forgets the oldest use first", () => {
	const cache = new Cache({ maxEntries: 2, maxSize: 10 });
	cache.put("a", "1");
	cache.put("b", "2");
	assert.equal(cache.get("a"), "1");
	cache.put("c", "3");
	assert.deepEqual([cache.get("a"), cache.get("b"), cache.get("c"), cache.count], ["1", undefined, "3", 2]);
	cache.put("d", "123456789");
	assert.deepEqual([cache.get("a"), cache.get("c"), cache.get("d"), cache.size], [undefined, "3", "123456789", 10]);
	cache.put("e", "12345678901");
	assert.equal(cache.get("e"), undefined);
	assert.equal(keyOf({ a: 1, b: { c: 2, d: [1] } }), keyOf({ b: { d: [1], c: 2 }, a: 1 }));
	assert.notEqual(keyOf({ a: 1 }), keyOf({ a: 2 }));
});

const lineOf = (text, part) => text.slice(0, text.indexOf(part)).split("\n").length;

test("a line of compiled code leads to the bundle and to the TypeScript", async () => {
	const files = {
		"crm/actions/fn.ts": actionSource("\tawait nango.log('x');\n\tif (input.n > 1)\n\t\tthrow new Error(helper());\n\treturn 1;", 'import { helper } from "../../shared/help.js";'),
		"shared/help.ts": "// a comment\ninterface Gone { a: string }\n\nexport function helper(): string {\n\treturn JSON.stringify({ marker: 1 });\n}\n",
	};
	const { js, code } = await compile({ files, entry: "crm/actions/fn.ts", ...names });
	const thrown = locate(code, lineOf(code, "throw new Error"));
	assert.deepEqual(thrown.source, { file: "crm/actions/fn.ts", line: 7, column: 3 });
	assert.equal(thrown.bundle.line, lineOf(js, "throw new Error"));
	assert.deepEqual(locate(code, lineOf(code, "marker")).source, { file: "shared/help.ts", line: 5, column: 2 });
	assert.equal(locate(code, 1).source, null);
	assert.deepEqual(locate(code, 100000).source, locate(code, code.split("\n").length - 3).source);
	assert.ok(code.trimEnd().split("\n").at(-1).startsWith("//# lines="), "the prelude reads the last line");
});

test("stack traces keep the positions of the bundle, as Node prints them", { skip: !haveEngine && "no duk" }, async () => {
	const { js, code } = await quick(actionSource('\tthrow new Error("boom");'));
	const { done } = run(js, { lowered: code, input: { n: 1 } });
	const [, at] = JSON.parse(done[1]).payload?.stacktrace ?? JSON.parse(done[1]).stacktrace ?? [];
	const [, line] = /^at Object\.exec \(fn-pck\.cjs:(\d+):\d+\)$/.exec(at);
	assert.equal(Number(line), lineOf(js, "throw new Error"));
});

// A bundle as the published command line sends it.
const withMap = (js, map) => `${js}\n//# sourceMappingURL=data:application/json;base64,${Buffer.from(typeof map === "string" ? map : JSON.stringify(map)).toString("base64")}\n`;

test("a bundle with its map leads to the TypeScript, and so do its errors", () => {
	const map = { version: 3, sources: ["../../crm/actions/one.ts"], names: [], mappings: "AAUI;AACA" };
	const code = lower(withMap("var a = 1;\nvar b = a;", map));
	assert.deepEqual(locate(code, 2), { bundle: { line: 2, column: 1 }, source: { file: "crm/actions/one.ts", line: 12, column: 5 } });
	assert.throws(() => lower(withMap("var a = 1;\neval(a);", map)), (error) => {
		assert.deepEqual([error.file, error.line, error.column, error.construct], ["crm/actions/one.ts", 12, 5, "eval"]);
		return true;
	});
});

test("a bundle of a text that was printed anew leads to the text that was written", () => {
	const written = [
		"// of the author",
		'import { createAction } from "nango";',
		"",
		"interface A { a: string }",
		"",
		"export default createAction({",
		"\tdescription: 'x',",
		"",
		"\texec: async (nango, input: A) => { if (input.a) { return 1 } throw (new Error('b')); }",
		"});",
	].join("\n");
	const printed = 'interface A {\n  a: string;\n}\nexport default {\n  type: "action",\n  description: \'x\',\n  exec: async (nango, input: A) => {\n    if (input.a) {\n      return 1;\n    }\n    throw new Error(\'b\');\n  }\n};';
	const js = "var one = 1;\nthrow new Error('b');\neval(one);";
	// The three lines are those of "type", "throw" and "return" of the printed text.
	const map = { version: 3, sources: ["crm/actions/one.ts"], sourcesContent: [printed], names: [], mappings: "AAIE;AAME;AAFE" };
	const column = (word) => written.split("\n")[8].indexOf(word) + 1;
	const named = { name: "one", integration: "crm", written };
	const without = withMap(js.replace("eval", "fine"), map);
	assert.deepEqual(locate(lower(without, named), 2).source, { file: "crm/actions/one.ts", line: 9, column: column("throw") });
	assert.throws(() => lower(withMap(js, map), named), (error) => error.line === 9 && error.column === column("return"));
	for (const other of [printed, "", "export default {};", "(".repeat(100000), "const a = `"]) {
		assert.deepEqual(locate(lower(without, { ...named, written: other }), 2).source, { file: "crm/actions/one.ts", line: 11, column: 5 }, other.slice(0, 30));
	}
	assert.equal(locate(lower(without, { ...named, name: "two" }), 2).source.line, 11, "of another file");
});

test("a broken or hostile map is as good as none", () => {
	const js = "var a = 1;";
	const maps = [
		"{", "null", "[]", "5", { mappings: "AAAA" }, { mappings: "AAAA", sources: 5 }, { mappings: 5, sources: [] },
		{ mappings: "!!!!", sources: ["a"] }, { mappings: "gggggggggggg", sources: ["a"] }, { mappings: "A\u00ff", sources: ["a"] },
		{ mappings: "AAAA", sources: new Array(2000).fill("a") },
	];
	for (const map of maps) {
		assert.equal(inlineMap(withMap(js, map)), null, JSON.stringify(map).slice(0, 60));
		assert.deepEqual(locate(lower(withMap(js, map)), 1), { bundle: { line: 1, column: 1 }, source: null });
	}
	for (const mappings of ["ACAA", "ADAA", "AAAD", "DAAA", "A", "AA", ";;;;", "", `${";".repeat(1000000)}AAAA`]) {
		assert.equal(locate(lower(withMap(js, { mappings, sources: ["a.ts"] })), 1).source, null, mappings.slice(0, 20));
	}
	const odd = { mappings: "AAAA", sources: ["webpack://../../x\n//# lines=9:9|;,\u2028\\é.ts"] };
	const code = lower(withMap(js, odd));
	assert.deepEqual(locate(code, 1).bundle, { line: 1, column: 1 });
	assert.match(locate(code, 1).source.file, /^x\n\/# lines=9:9\|;,\u2028\/é\.ts$/);
	assert.match(code, /^[\x20-\x7e\n]*$/);
	const long = new SourceMap(JSON.stringify({ mappings: "AAAA", sources: ["/".repeat(1000) + "x".repeat(10000)] }));
	assert.equal(long.trace(1, 1).file.length, 400);
});

test("positions count lines as JavaScript does", () => {
	const text = "a\nb\r\nc\u2028d\re";
	assert.deepEqual([..."abcde"].map((c) => placeOf(text, text.indexOf(c)).line), [1, 2, 3, 4, 5]);
	assert.deepEqual(placeOf("ab\ncd", 4), { line: 2, column: 2 });
});

test("a report shows each place with its line and the remedy, and nothing that steers a terminal", () => {
	const list = [
		new Refusal("bad \x1b[31m word", { file: "b.ts", line: 2, column: 3, construct: "x", remedy: "mend it" }),
		new Refusal("first", { file: "a.ts", line: 1, column: 1 }),
		new Refusal("far", { file: "long.ts", line: 1, column: 5001 }),
	];
	const texts = { "a.ts": "let a;", "b.ts": "1\n\té\x07b", "long.ts": `${"x".repeat(5000)}!${"x".repeat(5000)}` };
	const text = report(list, { read: (file) => texts[file] });
	assert.equal(
		text.replace(/x{20,}/g, "X"),
		"a.ts:1:1 - error: first\n  1 | let a;\n    | ^\n\nb.ts:2:3 - error: bad \\x1b[31m word\n  2 |  é\\x07b\n    |   ^\n  remedy: mend it\n\nlong.ts:1:5001 - error: far\n  1 | X!X\n    | " +
			`${" ".repeat(80)}^\n\n3 errors in 3 files`,
	);
	assert.match(report(list, { read: () => undefined, color: true }), /\x1b\[31merror/);
});

test("a request that is none is refused by name", async () => {
	for (const request of [{}, { source: 5 }, { files: null, entry: "a.ts" }, { files: [], entry: "a.ts" }, { files: { "a.ts": 5 }, entry: "a.ts" }, { files: { "a.ts": "" } }, { files: { "a.ts": "" }, entry: "b.ts" }, { source: "", type: "x" }, { source: "", name: "a b" }, { source: "", integration: "../x" }]) {
		const error = await refusal(request);
		assert.match(error.construct, /request|source/, JSON.stringify(request));
	}
	assert.match((await refusal({ source: actionSource(""), type: "sync", typeCheck: false })).message, /type action is where one of type sync belongs/);
});
