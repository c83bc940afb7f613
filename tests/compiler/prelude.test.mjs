// The `nango` object, the loader and the failures of runs, under the engine.
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { test } from "node:test";

import { action, haveEngine, run } from "./engine.mjs";

const skip = !haveEngine && "no duk";
const check = (claim, body) => test(claim, { skip }, body);

const hex = (text) => Buffer.from(text).toString("hex");
const json = (value) => `function () { return { body: ${JSON.stringify(JSON.stringify(value))} }; }`;

function failed(report) {
	assert.equal(report.done[0], false, report.done[1]);
	return report.result;
}

function output(report) {
	assert.equal(report.loadError, null);
	assert.equal(report.done[0], true, report.done[1]);
	return report.result;
}

check("missing and falsy inputs reach exec as {}", () => {
	for (const inputText of ["", "null", "false", "0", '""']) {
		assert.deepEqual(output(run(action("return input"), { inputText })), {}, inputText);
	}
	assert.equal(output(run(action("return input"), { input: "text" })), "text");
	assert.deepEqual(output(run(action("return input"), { input: [1] })), [1]);
});

check("undefined is no text, and outputs print as Node prints them", () => {
	assert.deepEqual(run(action("return undefined")).done, [true, ""]);
	assert.deepEqual(run(action("return () => 1")).done, [true, ""]);
	assert.equal(run(action("return NaN")).done[1], "null");
	assert.equal(run(action("return null")).done[1], "null");
	assert.equal(run(action("return false")).done[1], "false");
	assert.equal(run(action("return new Date(0)")).done[1], '"1970-01-01T00:00:00.000Z"');
	assert.equal(run(action("return [1e21, -0, 0.1, 5e-324, { a: undefined, b: () => 1 }]")).done[1], '[1e+21,0,0.1,5e-324,{}]');
	assert.equal(run(action("return 'é😀\\u2028'")).result, "é😀\u2028");
});

check("an output that is not JSON is a clear error of the job", () => {
	const cases = {
		"const a = {}; a.a = a; return a": /refers to itself/,
		"return { n: BigInt(5) }": /serialize a BigInt/,
		"return { get x() { throw new Error('trap') } }": /trap/,
		"return { toJSON() { return [this.toJSON()] } }": /not JSON/,
		"return { toJSON() { throw 5 } }": /not JSON/,
		"return new Proxy({ a: 1 }, { get() { throw new Error('proxy') } })": /proxy|not JSON/,
		"return 'x'.repeat(2097151)": /2097153 bytes, the maximum is 2097152/,
		"return 'é'.repeat(1048577)": /2097156 bytes/,
	};
	for (const [body, message] of Object.entries(cases)) {
		const error = failed(run(action(body)));
		assert.equal(error.code, "script_internal_error", body);
		assert.match(error.payload.message, message, body);
	}
	assert.equal(run(action("return 'x'.repeat(2097150)")).done[0], true);
});

check("an Error is told with its name, message and place", () => {
	const error = failed(run(action("\n\tfunction f() {\n\t\tthrow new Error('boom');\n\t}\n\tf();")));
	assert.deepEqual(error, {
		code: "script_internal_error",
		message: "boom",
		payload: {
			message: "boom",
			name: "Error",
			stacktrace: ["Error: boom", "at f (fn-pck.cjs:4:3)", "at Object.exec (fn-pck.cjs:6:2)"],
		},
	});
});

check("the stack has at most ten frames and none of the prelude", () => {
	const error = failed(run(action("function f(n) { if (n === 0) throw new TypeError('deep'); f(n - 1); } f(50);")));
	const [head, ...frames] = error.payload.stacktrace;
	assert.equal(head, "TypeError: deep");
	assert.ok(frames.length > 0 && frames.length <= 10);
	for (const frame of frames) assert.match(frame, /fn-pck\.cjs:\d+/);
});

check("an ActionError keeps its payload, keys in order", () => {
	const text = run(action("throw new nango.ActionError({ reason: 'bad', n: 1, inner: { b: 1, a: 2 } })")).done[1];
	assert.match(text, /"payload":\{"inner":\{"a":2,"b":1\},"n":1,"reason":"bad"\}/);
	assert.equal(JSON.parse(text).code, "action_script_runtime_error");
	assert.deepEqual(failed(run(action("throw new nango.ActionError('why')"))).payload, { message: "why" });
	assert.deepEqual(failed(run(action("throw new nango.ActionError()"))).payload, {});
	assert.equal(output(run(action("const e = new nango.ActionError({ a: 1 }); return e instanceof Error && e instanceof nango.ActionError"))), true);
});

check("what is thrown and is no Error is told as JSON", () => {
	const message = (body) => failed(run(action(body))).payload.message;
	assert.equal(message("throw 'str'"), '"str"');
	assert.equal(message("throw null"), "null");
	assert.equal(message("throw { a: 1 }"), '{"a":1}');
	assert.equal(message("throw undefined"), "undefined");
	assert.equal(message("throw 7"), "7");
	assert.ok(message("throw { get a() { throw 1 } }").includes("not JSON"));
	assert.ok(failed(run(action("const e = new Error('x'); Object.defineProperty(e, 'message', { get() { throw 1 } }); throw e"))).code);
});

check("long messages and payloads are cut", () => {
	const long = run(action("throw new Error('m'.repeat(1000000))"));
	assert.ok(long.done[1].length < 99000);
	const big = failed(run(action("throw new nango.ActionError({ a: 'x'.repeat(200000), b: 1, c: ['y'.repeat(1000)] })")));
	assert.deepEqual(big.payload, { b: 1, c: ["y".repeat(1000)] });
	const many = run(action("throw new nango.ActionError(Array.from({ length: 200000 }, (_, i) => i))")).done[1];
	assert.ok(many.length < 120000);
});

check("an answer of the provider that is an error becomes script_http_error", () => {
	const http = `function () { return { status: 418, headers: { "Content-Type": "application/json", "X-RateLimit-Left": "3", "Set-Cookie": "s" }, body: '{"why":"tea"}' }; }`;
	assert.deepEqual(failed(run(action("await nango.get({ endpoint: '/x' })"), { http })), {
		code: "script_http_error",
		payload: { why: "tea" },
		upstream: {
			status: 418,
			headers: { "content-type": "application/json", "x-ratelimit-left": "3" },
			body: { why: "tea" },
		},
	});
	const plain = `function () { return { status: 500, body: "oops" }; }`;
	assert.deepEqual(failed(run(action("await nango.get({ endpoint: '/x' })"), { http: plain })).payload, { message: "oops" });
});

check("errors of requests are axios errors", () => {
	const http = `function () { return { status: 404, statusText: "Not Found", headers: { A: "b" }, body: '{"m":1}' }; }`;
	const body = `try { await nango.delete({ endpoint: '/x' }) } catch (e) {
		return [e.isAxiosError, e.code, e.message, e.response.status, e.response.statusText, e.response.data, e.response.headers.a,
			e.response.headers.get('A'), e.status, e.config.method, e.name, e instanceof Error, typeof e.request, e.toJSON().code] }`;
	assert.deepEqual(output(run(action(body), { http })), [
		true,
		"ERR_BAD_REQUEST",
		"Request failed with status code 404",
		404,
		"Not Found",
		{ m: 1 },
		"b",
		"b",
		404,
		"delete",
		"AxiosError",
		true,
		"object",
		"ERR_BAD_REQUEST",
	]);
});

check("a transport failure becomes script_network_error", () => {
	const http = `function () { return { error: { code: "ECONNREFUSED", message: "connect ECONNREFUSED 127.0.0.1:1" } }; }`;
	const error = failed(run(action("await nango.get({ endpoint: '/x' })"), { http }));
	assert.equal(error.code, "script_network_error");
	assert.equal(error.payload.code, "ECONNREFUSED");
	assert.equal(error.payload.message, "connect ECONNREFUSED 127.0.0.1:1");
	const caught = action("try { await nango.get({ endpoint: '/x' }) } catch (e) { return [e.isAxiosError, e.code, e.response === undefined] }");
	assert.deepEqual(output(run(caught, { http })), [true, "ECONNREFUSED", true]);
	const aborted = `function () { return { error: { code: "script_aborted", message: "cancelled" } }; }`;
	assert.equal(failed(run(action("await nango.get({ endpoint: '/x' })"), { http: aborted })).code, "script_aborted");
});

check("a request carries its settings, parameters as URL.searchParams.set writes them", () => {
	const body = `return (await nango.get({ endpoint: '/a', headers: { X: 1, Y: undefined }, retries: 3, retryOn: [418], baseUrlOverride: 'https://b',
		params: { q: 'a b&c', list: [1, 2], deep: { k: 'v', n: null }, on: true, at: new Date(0), skip: undefined } })).data`;
	const report = run(action(body), { http: json({ ok: 1 }) });
	assert.deepEqual(output(report), { ok: 1 });
	assert.deepEqual(report.calls[0].meta, {
		method: "GET",
		endpoint: "/a",
		headers: { X: "1" },
		params: "q=a+b%26c&list=1%2C2&deep=%5Bobject+Object%5D&on=true&at=Thu+Jan+01+1970+00%3A00%3A00+GMT%2B0000+%28Coordinated+Universal+Time%29&skip=undefined",
		providerConfigKey: "pck",
		connectionId: "conn",
		retries: 3,
		retryOn: [418],
		baseUrlOverride: "https://b",
	});
});

check("bodies are sent as axios sends them", () => {
	const sent = (config) => {
		const { meta, body } = run(action(`await nango.post({ endpoint: '/a', ${config} })`), { http: json(1) }).calls[0];
		return [Object.entries(meta.headers).map(([k, v]) => `${k.toLowerCase()}: ${v}`).join(), body];
	};
	const form = "application/x-www-form-urlencoded";
	assert.deepEqual(sent("data: { a: 'é', b: undefined }"), ["content-type: application/json", '{"a":"é"}']);
	assert.deepEqual(sent("data: new URLSearchParams({ a: 'b c' })"), [`content-type: ${form};charset=utf-8`, "a=b+c"]);
	assert.deepEqual(sent(`data: { a: 'b c', l: [1, 2] }, headers: { 'Content-Type': '${form}' }`), [
		`content-type: ${form}`,
		"a=b+c&l%5B%5D=1&l%5B%5D=2",
	]);
	assert.deepEqual(sent("data: 'raw', headers: { 'content-type': 'text/plain' }"), ["content-type: text/plain", "raw"]);
	assert.deepEqual(sent("data: 'raw'"), [`content-type: ${form}`, "raw"]);
	assert.deepEqual(sent("data: Buffer.from('bin'), headers: { 'content-type': 'a/b' }"), ["content-type: a/b", "bin"]);
	assert.deepEqual(sent("data: [1, 2]"), ["content-type: application/json", "[1,2]"]);
	assert.deepEqual(sent("headers: {}"), [`content-type: ${form}`, undefined]);
});

check("responses are JSON, text or a Buffer", () => {
	const answer = (config, body) =>
		output(run(action(`const r = await nango.get({ endpoint: '/a', ${config} }); return [typeof r.data, r.data, r.status]`), { http: body }));
	assert.deepEqual(answer("", json({ n: [1] })), ["object", { n: [1] }, 200]);
	assert.deepEqual(answer("", `function () { return { body: "no json" } }`), ["string", "no json", 200]);
	assert.deepEqual(answer("responseType: 'text'", json({ n: 1 })), ["string", '{"n":1}', 200]);
	assert.deepEqual(answer("", `function () { return { status: 204 } }`), ["string", "", 204]);
	assert.deepEqual(answer("", `function () { return { bytes: [0xef, 0xbb, 0xbf, 0x31] } }`), ["number", 1, 200]);
	const buffer = action("const r = await nango.get({ endpoint: '/a', responseType: 'arraybuffer' }); return [Buffer.isBuffer(r.data), r.data.toString('base64'), r.data.length]");
	assert.deepEqual(output(run(buffer, { http: "function () { return { bytes: [0, 255, 16] } }" })), [true, "AP8Q", 3]);
});

check("__proto__ in a response is data", () => {
	const http = `function () { return { body: '{"__proto__":{"polluted":1},"constructor":{"prototype":{"x":1}}}' }; }`;
	const body = "const { data } = await nango.get({ endpoint: '/a' }); const copy = { ...data }; return [({}).polluted, data.polluted, copy.polluted, ({}).x, Object.keys(data), JSON.stringify(copy)]";
	assert.deepEqual(output(run(action(body), { http })), [
		null,
		null,
		null,
		null,
		["__proto__", "constructor"],
		'{"__proto__":{"polluted":1},"constructor":{"prototype":{"x":1}}}',
	]);
});

check("the object has the members of the original, frozen and without a prototype", () => {
	const body = `const { get, log } = nango; await get({ endpoint: '/bound' });
		const threw = []; for (const k of ['nango', 'attributes', 'integrationConfig', 'abortSignal']) { try { nango[k]; threw.push(k) } catch (e) { threw.push(e instanceof Error) } }
		let write = false; try { nango.attributes = 1 } catch { write = true }
		return [Object.keys(nango), Object.getPrototypeOf(nango), Object.isFrozen(nango), threw, write, nango.connectionId, nango.scriptType, typeof nango.batchSave]`;
	const [keys, proto, frozen, threw, write, connection, type, records] = output(run(action(body), { http: json(1) }));
	assert.deepEqual(
		keys.join(),
		"logger,activityLogId,syncId,nangoConnectionId,environmentId,environmentName,syncJobId,syncConfig,runnerFlags,scriptType,isCLI,accountId,connectionId,providerConfigKey,provider,ActionError",
	);
	assert.deepEqual([proto, frozen, threw, write, connection, type, records], [null, true, [true, true, true, true], true, "conn", "action", "undefined"]);
});

check("logs pass the level, and no answer is waited for", () => {
	const body = `await nango.log('dropped'); await nango.log('kept', { level: 'error' }); await nango.log('with', { a: 1 }, { level: 'warn' });
		nango.setLogger({ level: 'debug' }); await nango.log('quiet', { level: 'silly' }); nango.setLogger({ level: 'off' }); nango.setLogger({ level: 'debug' }); await nango.log('gone', { level: 'error' });`;
	const report = run(action(body));
	assert.deepEqual(
		report.calls.map(({ id, op, meta }) => [id, op, meta]),
		[
			[0, "log", { level: "error", message: "kept" }],
			[0, "log", { level: "warn", message: "with", meta: { a: 1 } }],
			[0, "log", { level: "debug", message: "quiet" }],
		],
	);
});

check("connections are kept for a minute, metadata writes drop them", () => {
	const ops = {
		connection: `function (meta, body, n) { return { n: n, metadata: { m: n }, credentials: { type: "OAUTH2", access_token: "t" + n } }; }`,
		metadata_update: `function (meta) { return { status: 200, data: meta.metadata }; }`,
		metadata_set: `function (meta) { return { status: 201, data: meta.metadata }; }`,
		environment_variables: `function () { return null; }`,
		integration: `function (meta) { return { unique_key: meta.providerConfigKey, webhook_url: meta.include[0] }; }`,
	};
	const body = `const a = await nango.getConnection(), b = await nango.getConnection(), t = await nango.getToken();
		const w = await nango.updateMetadata({ x: 1 }); const m = await nango.getMetadata(); const f = await nango.getConnection('p', 'c', { forceRefresh: true });
		const s = await nango.setMetadata({ y: 1 });
		return [a.n, b.n, t, w.status, w.data, m, f.n, s.status, await nango.getEnvironmentVariables(), await nango.getWebhookURL(), (await nango.getIntegration()).unique_key]`;
	const report = run(action(body), { ops });
	assert.deepEqual(output(report), [1, 1, "t1", 200, { x: 1 }, { m: 2 }, 3, 201, [], "webhook", "pck"]);
	assert.deepEqual(report.calls.filter(({ op }) => op === "connection").map(({ meta }) => meta.forceRefresh), [undefined, undefined, true]);
});

check("what the host does not have yet fails with its name", () => {
	for (const [call, op] of [
		["nango.saveCheckpoint({ a: 1 })", "save_checkpoint"],
		["nango.triggerAction('p', 'c', 'a')", "trigger_action"],
		["nango.tryAcquireLock({ key: 'k', ttlMs: 1 })", "try_acquire_lock"],
		["nango.startSync('p', ['s'])", "start_sync"],
	]) {
		const report = run(action(`await ${call}`));
		assert.equal(report.calls[0].op, op);
		assert.match(failed(report).payload.message, /unsupported/);
	}
});

check("pages are read by cursor, link and offset", () => {
	const pages = ["[1]", "[2]", "[1,2]", "[3]"]; // and those of the cursor; each is digested, to see one that comes again
	for (let n = 1; n <= 3; n++) pages.push(JSON.stringify({ items: [n], next: n < 3 ? `c${n}` : " " }));
	const hashes = Object.fromEntries(pages.map((page) => [`sha256:${hex(page)}`, createHash("sha256").update(page).digest("hex")]));
	const read = (paginate, http, more = "") =>
		run(action(`const out = []; for await (const page of nango.paginate({ endpoint: '/l', paginate: ${paginate}${more} })) out.push(page); return out`), { http, hashes });
	const cursor = read(
		"{ type: 'cursor', cursor_name_in_request: 'after', cursor_path_in_response: 'next', response_path: 'items', limit: 2, limit_name_in_request: 'size' }",
		`function (m, b, n) { return { body: JSON.stringify({ items: [n], next: n < 3 ? "c" + n : " " }) }; }`,
	);
	assert.deepEqual(output(cursor), [[1], [2], [3]]);
	assert.deepEqual(cursor.calls.filter(({ op }) => op === "http").map(({ meta }) => meta.params), ["size=2", "size=2&after=c1", "size=2&after=c2"]);
	const link = read(
		"{ type: 'link', link_rel_in_response_header: 'next' }",
		`function (m, b, n) { return { body: "[" + n + "]", headers: n === 1 ? { Link: '<https://z.com/p?page=2>; rel="next", <https://z.com>; rel="last"' } : {} }; }`,
	);
	assert.deepEqual(output(link), [[1], [2]]);
	assert.deepEqual([link.calls[2].meta.baseUrlOverride, link.calls[2].meta.endpoint], ["https://z.com", "/p?page=2"]);
	const offset = read(
		"{ type: 'offset', offset_name_in_request: 'page.from', limit: 2 }",
		`function (m, b, n) { return { body: n === 1 ? "[1,2]" : "[3]" }; }`,
		", method: 'POST', data: { k: 1 }",
	);
	assert.deepEqual(output(offset), [[1, 2], [3]]);
	assert.deepEqual(offset.calls.filter(({ op }) => op === "http").map(({ body }) => JSON.parse(body)), [{ k: 1, page: { from: 0 } }, { k: 1, page: { from: 2 } }]);
	assert.match(failed(read("{ type: 'nope' }", json([]))).payload.message, /"nope" is not known/);
});

check("uncontrolledFetch answers a web response", () => {
	const ops = { fetch: `function (m) { return m.url === "https://no/" ? { error: { code: "url_not_allowed", message: "no" } } : { status: 201, headers: { A: "b" }, body: '{"x":1}' }; }` };
	const body = "const r = await nango.uncontrolledFetch({ url: new URL('https://h/p') }); return [r.status, r.ok, r.headers.get('a'), await r.json(), r.bodyUsed]";
	assert.deepEqual(output(run(action(body), { ops })), [201, true, "b", { x: 1 }, true]);
	const refused = failed(run(action("await nango.uncontrolledFetch({ url: 'https://no/' })"), { ops }));
	assert.deepEqual([refused.code, refused.payload.code], ["action_script_runtime_error", "url_not_allowed"]);
});

check("zodValidateInput logs each issue and throws an ActionError", () => {
	const body = "const z = require('zod'); const S = z.object({ a: z.string(), b: z.number() }); const good = await nango.zodValidateInput({ zodSchema: S, input: { a: 'x', b: 1 } }); await nango.zodValidateInput({ zodSchema: S, input: { a: 1 } });";
	const report = run(action(body));
	const error = failed(report);
	assert.equal(error.code, "action_script_runtime_error");
	assert.equal(typeof error.payload.message, "string");
	assert.equal(report.calls.filter(({ op, meta }) => op === "log" && meta.level === "error").length, 2);
});

check("a promise that nothing can settle is a deadlock", () => {
	assert.match(failed(run(action("await new Promise(() => {})"))).message, /deadlock/);
	assert.equal(output(run(action("await new Promise(r => setTimeout(r, 1000)); return 1"))), 1);
});

check("nothing is asked once the run is over", () => {
	const report = run(action("setTimeout(() => nango.get({ endpoint: '/late' }), 1); nango.get({ endpoint: '/early' }); return 1"), { http: json(1) });
	assert.deepEqual(report.calls.map(({ meta }) => meta.endpoint), ["/early"]);
	assert.equal(output(report), 1);
});

check("an error in a timer's callback ends the run", () => {
	assert.equal(failed(run(action("setTimeout(() => { throw new Error('late') }, 1); await new Promise(r => setTimeout(r, 99))"))).message, "late");
});

check("require knows its modules and names the others", () => {
	const lowered = (body) => `exports.default = { type: "action", exec: function (nango, input) { ${body} } };`;
	const loads = (name) => run("", { lowered: lowered(`return typeof require("${name}")`) });
	for (const name of ["nango", "zod", "crypto", "node:crypto", "url", "node:url", "buffer", "node:buffer"]) {
		assert.equal(output(loads(name)), "object", name);
	}
	for (const name of ["fs", "node:fs", "node:zod", "constructor", "__proto__", "./x"]) {
		assert.match(failed(loads(name)).message, new RegExp(`'${name}' is not allowed`));
	}
});

check("hashes, random bytes and identifiers are node:crypto's", () => {
	const hashes = {
		[`sha256:${hex("é")}`]: createHash("sha256").update("é").digest("hex"),
		[`md5:${hex("ab")}`]: createHash("md5").update("ab").digest("hex"),
		[`sha1:${hex("k")}:${hex("v")}`]: createHmac("sha1", "k").update("v").digest("hex"),
	};
	const body = `const c = require('node:crypto'); const u = c.randomUUID();
		return [c.createHash('sha256').update('é').digest('hex'), c.createHash('md5').update('a').update(Buffer.from('b')).digest().toString('base64url'),
			c.createHmac('SHA1', 'k').update('v').digest('base64'), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(u), u !== c.randomUUID(),
			c.randomBytes(5).length, c.timingSafeEqual(Buffer.from('a'), Buffer.from('a')), Buffer.isBuffer(c.randomBytes(1))]`;
	assert.deepEqual(output(run(action(body), { hashes })), [
		createHash("sha256").update("é").digest("hex"),
		createHash("md5").update("ab").digest("base64url"),
		createHmac("sha1", "k").update("v").digest("base64"),
		true,
		true,
		5,
		true,
		true,
	]);
	assert.match(failed(run(action("require('crypto').createHash('rot13')"))).message, /not supported/);
});

check("customers' code reaches neither the host nor the engine", () => {
	const body = "const names = ['__host', '__sluice', 'Duktape', 'CBOR', 'process', 'fetch', 'print', 'performance']; return names.filter(n => n in globalThis)";
	assert.deepEqual(output(run(action(body))), []);
});

check("a module that is no function, or of another type, says so", () => {
	assert.match(failed(run("exports.default = 5")).message, /exports no function/);
	assert.match(failed(run('exports.default = { type: "sync", exec() {} }')).message, /type "sync"/);
	assert.match(failed(run('exports.default = { type: "action" }')).message, /no exec/);
	assert.match(run("throw new Error('at load')").loadError.message, /at load/);
	assert.match(run("", { lowered: "var x = ;" }).loadError.message, /invalid|unexpected|parse|empty/i);
	const wrapped = 'const { createAction } = require("nango"); exports.default = createAction({ exec: async () => 5 })';
	assert.equal(output(run(wrapped)), 5);
});

check("a sync answers true and has records; a webhook gets its payload", () => {
	const ops = { batch_save: "function () { return null; }" };
	const sync = 'exports.default = { type: "sync", async exec(nango) { await nango.batchSave([], "M"); return nango.batchSave([{ id: "1", _nango_metadata: {} }], "M"); }, async onWebhook(nango, p) { await nango.log("p" + p.x, { level: "error" }); } }';
	const report = run(sync, { kind: "sync", ops });
	assert.equal(output(report), true);
	assert.deepEqual(report.calls.map(({ op, meta, body }) => [op, meta, body]), [["batch_save", { model: "M", count: 1 }, '[{"id":"1"}]']]);
	assert.equal(run(sync, { kind: "webhook", input: { x: 7 } }).calls[0].meta.message, "p7");
	assert.equal(output(run('exports.default = { type: "onEvent", async exec(nango) { return 1 } }', { kind: "event" })), true);
});

check("an emoji survives the whole way", () => {
	const http = `function (m, b) { return { body: b }; }`;
	const report = run(action("const r = await nango.post({ endpoint: '/e', data: input }); return r.data"), { http, input: { t: "😀 é \u2028 \ufffe \u0000" } });
	assert.deepEqual(output(report), { t: "😀 é \u2028 \ufffe \u0000" });
});
