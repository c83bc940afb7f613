// Our types of `nango` take what the published package's take, and refuse what they refuse: each snippet is checked
// with both.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { checkTypes } from "../../compiler/lib/types.mjs";

const modules = fileURLToPath(new URL("../clients/node_modules", import.meta.url));
const tsc = createRequire(new URL("../../compiler/package.json", import.meta.url)).resolve("typescript/bin/tsc");
const skip = !existsSync(join(modules, "nango")) && "the published clients are not installed";

const HEAD = 'import { createAction, createOnEvent, createSync } from "nango";\nimport type { ActionError, CreateActionProps, CreateActionResponse, CreateAnyResponse, CreateOnEventProps, CreateOnEventResponse, CreateSyncProps, CreateSyncResponse, NangoAction, NangoSync, ProxyConfiguration } from "nango";\nimport * as z from "zod";\n';
const act = (body, more = "") => `export default createAction({ description: "d", input: z.object({ n: z.number(), s: z.string().optional() }), output: z.any(), ${more} exec: async (nango, input) => { ${body} } });`;
const sync = (body, more = "") =>
	`const Item = z.object({ id: z.string(), name: z.string() }); const Other = z.object({ id: z.string(), at: z.date().optional() });
export default createSync({ description: "d", frequency: "every hour", models: { Item, Other }, ${more} exec: async (nango) => { ${body} } });`;
const META = "metadata: z.object({ team: z.string(), n: z.number().optional() }),";
const POINT = "checkpoint: z.object({ page: z.number(), cursor: z.string() }),";

const TAKEN = {
	"the input has its type": act("const a: number = input.n; const b: string | undefined = input.s; return a + (b ?? '')"),
	"answers of requests are of the type that is named": act("const { data, status, headers } = await nango.get<{ id: string }[]>({ endpoint: '/a' }); const n: number = status; const h: unknown = headers['x']; return [data[0]?.id.length, n, h]"),
	"answers of requests are any": act("const r = await nango.post({ endpoint: '/a', data: { a: 1 } }); return r.data.what.ever"),
	"all forms of requests": act("return [await nango.get({ endpoint: '/' }), await nango.post({ endpoint: '/' }), await nango.put({ endpoint: '/' }), await nango.patch({ endpoint: '/' }), await nango.delete({ endpoint: '/' }), await nango.proxy({ method: 'GET', endpoint: '/' })]"),
	"all options of requests": act("await nango.proxy({ endpoint: '/', method: 'POST', headers: { a: 'b' }, params: { a: 1, b: 'c' }, data: [1], retries: 2, retryOn: [500], baseUrlOverride: 'https://x', decompress: true, responseType: 'arraybuffer', providerConfigKey: 'a', connectionId: 'b', retryHeader: { at: 'x', after: 'y' } }); return 1"),
	"params as text": act("await nango.get({ endpoint: '/', params: 'a=1' }); await nango.get({ endpoint: '/', params: { a: ['x', 'y'] as any } }); return 1"),
	"params with undefined are left to a cast": act("await nango.get({ endpoint: '/', params: { ...(input.s && { s: input.s }), n: input.n, yes: 'true' } }); return 1"),
	"a stream": act("await nango.get({ endpoint: '/', responseType: 'stream' }); return 1"),
	"a configuration of its own": `const config: ProxyConfiguration = { endpoint: '/', retries: 3, params: { limit: 10 }, paginate: { type: 'cursor', cursor_path_in_response: 'a.b', cursor_name_in_request: 'c', limit: 5, limit_name_in_request: 'l', response_path: 'd' } }; ${act("for await (const page of nango.paginate<{ id: string }>(config)) { for (const { id } of page) await nango.log(id) } return 1")}`,
	"a configuration that is filled later": `const config: ProxyConfiguration = { endpoint: '/', headers: {} }; config.headers = { a: 'b' }; config.params = { a: 'b' }; config.method = 'PATCH'; config.data = { a: 1 }; ${act("return nango.proxy(config)")}`,
	"pagination by link and offset": act("for await (const p of nango.paginate({ endpoint: '/', paginate: { type: 'link', link_rel_in_response_header: 'next', limit_name_in_request: 'l', limit: 1 } })) await nango.log(p.length); for await (const p of nango.paginate<any>({ endpoint: '/', paginate: { type: 'offset', offset_name_in_request: 'o', offset_calculation_method: 'per-page', offset_start_value: 1, limit: 2, limit_name_in_request: 'l', response_path: 'x' } })) await nango.log(p[0]); return 1"),
	"pagination as the provider has it": act("for await (const p of nango.paginate<{ id: number }>({ endpoint: '/', paginate: { response_path: 'items', limit: 10 } })) await nango.log(String(p[0]?.id)); return 1"),
	"pagination with on_page": act("for await (const p of nango.paginate({ endpoint: '/', paginate: { type: 'cursor', cursor_path_in_response: 'a', cursor_name_in_request: 'b', response_path: 'c', in_body: true, on_page: async ({ nextPageParam, response }) => { await nango.log(String(nextPageParam), response.status) } } })) await nango.log(p); return 1"),
	"errors of actions": act("if (input.n) throw new nango.ActionError({ type: 'x', message: 'm', nested: { a: [1] } }); throw new nango.ActionError()"),
	"errors of actions with a type": act("throw new nango.ActionError<{ code: number }>({ code: 1 })"),
	"the type of ActionError": act("const e: ActionError = new nango.ActionError({ a: 1 }); return [e.type, e.payload?.['a'], e.message]"),
	"the connection": act("const c = await nango.getConnection(); const t: unknown = c.connection_config['x']; const id: string = c.connection_id; const n: number = c.id; return [t, id, n, c.credentials, c.metadata, c.provider, c.provider_config_key, c.created_at, c.tags]"),
	"a connection of another integration": act("return [await nango.getConnection('a', 'b', { refreshToken: true }), await nango.getConnection('a', 'b', { forceRefresh: true, refreshGithubAppJwtToken: true })]"),
	"the credentials of a connection": act("const c = await nango.getConnection(); if ('apiKey' in c.credentials) return c.credentials.apiKey; if ('access_token' in c.credentials) return c.credentials.access_token; return c.credentials.type"),
	"credentials by their type": act("const { credentials } = await nango.getConnection(); switch (credentials.type) { case 'API_KEY': return credentials.apiKey; case 'BASIC': return credentials.username + credentials.password; case 'OAUTH2': return credentials.access_token; default: return 'other' }"),
	"the token": act("const t = await nango.getToken(); return typeof t === 'string' ? t.length : t"),
	"metadata by their schema": act("const m = await nango.getMetadata(); const t: string = m.team; await nango.setMetadata({ team: 'a' }); await nango.updateMetadata({ n: 1 }); return t", META),
	"metadata of a type that is named": act("const m = await nango.getMetadata<{ a: string } | null>(); return m?.a.length"),
	"the integration and its webhook": act("const i = await nango.getIntegration({ include: ['webhook', 'credentials'] } as any); const w: string | null | undefined = await nango.getWebhookURL(); return [i.unique_key, i.provider, i.display_name, w]"),
	"environment variables": act("const v = await nango.getEnvironmentVariables(); return v?.find((each) => each.name === 'A')?.value"),
	"logs": act("await nango.log('a'); await nango.log('a', { level: 'error' }); await nango.log('a', { b: 1 }, { level: 'warn' }); await nango.log('a', [1]); await nango.log('a', 1, 'b', { level: 'debug' }); await nango.log({ a: 1 }); nango.setLogger({ level: 'off' }); return 1"),
	"other functions": act("const out = await nango.triggerAction<{ a: number }, { b: string }>('p', 'c', 'n', { a: 1 }); const any = await nango.triggerAction('p', 'c', 'n'); await nango.triggerSync('p', 'c', 's'); await nango.triggerSync('p', 'c', { name: 's', variant: 'v' }, true); await nango.triggerSync('p', 'c', 's', 'full_refresh'); await nango.startSync('p', ['a', { name: 'b', variant: 'c' }], 'c'); return [out.b, any]"),
	"a request to anywhere": act("const r = await nango.uncontrolledFetch({ url: new URL('https://x'), method: 'POST', headers: { a: 'b' }, body: null }); return [r.ok, r.status, await r.json(), await r.text(), r.headers.get('a')]"),
	"locks": act("const got: boolean = await nango.tryAcquireLock({ key: 'k', ttlMs: 5 }); const gone: boolean = await nango.releaseLock({ key: 'k' }); await nango.releaseAllLocks(); return [got, gone]"),
	"checkpoints by their schema": act("const c = await nango.getCheckpoint(); const p: number | undefined = c?.page; await nango.saveCheckpoint({ page: (p ?? 0) + 1, cursor: 'x' }); await nango.clearCheckpoint(); return p", POINT),
	"the input checked by a schema": act("const { data } = await nango.zodValidateInput({ zodSchema: z.object({ a: z.string() }), input }); const a: string = data.a; return a"),
	"what nango knows of the run": act("return [nango.connectionId, nango.providerConfigKey, nango.provider, nango.environmentId, nango.environmentName, nango.activityLogId, nango.scriptType, nango.isCLI, nango.accountId, nango.syncId, nango.nangoConnectionId, nango.logger.level, nango.getVariant(), nango.getFlowAttributes<{ a: 1 }>()?.a]"),
	"deprecated methods": act("await nango.setFieldMapping({ a: 'b' }); return (await nango.getFieldMapping())['a']"),
	"helpers that take nango": `async function help(nango: NangoAction, id: string): Promise<string> { const r = await nango.get<{ a: string }>({ endpoint: id }); await nango.log('x'); return r.data.a } export { help };`,
	"nango handed to a helper": `type NangoActionLocal = Parameters<(typeof action)['exec']>[0]; async function help(nango: NangoActionLocal): Promise<string> { return (await nango.getConnection()).connection_id } const action = createAction({ description: 'd', input: z.void(), output: z.string(), exec: async (nango): Promise<string> => help(nango) }); export type { NangoActionLocal }; export default action;`,
	"nango of a sync handed to a helper": `type NangoSyncLocal = Parameters<(typeof sync)['exec']>[0]; async function save(nango: NangoSyncLocal, id: string) { await nango.batchSave([{ id }], 'Item') } const sync = createSync({ description: 'd', frequency: 'every day', models: { Item: z.object({ id: z.string() }) }, exec: async (nango) => { await save(nango, 'a') } }); export default sync;`,
	"nango handed to a helper for any action": `async function help(nango: NangoAction) { return (await nango.get({ endpoint: '/' })).data } ${act("return help(nango)")}`,
	"nango of a sync is one of an action": `async function help(nango: NangoAction | NangoSync) { return (await nango.get({ endpoint: '/' })).data } ${sync("await help(nango)")}`,
	"a part of nango handed on": `async function help(nango: Pick<NangoAction, 'get' | 'log'>) { await nango.log('x'); return (await nango.get({ endpoint: '/' })).data } ${act("return help(nango)")}`,
	"nango with a schema of metadata handed on": `const Meta = z.object({ a: z.string() }); async function help(nango: NangoAction<typeof Meta>) { return (await nango.getMetadata()).a.length } export default createAction({ description: 'd', metadata: Meta, input: z.void(), output: z.number(), exec: async (nango) => help(nango) });`,
	"a sync with models of a type": `const Item = z.object({ id: z.string(), n: z.number() }); async function help(nango: NangoSync<{ Item: typeof Item }>) { await nango.batchSave([{ id: '1', n: 2 }], 'Item') } export default createSync({ description: 'd', frequency: 'every day', models: { Item }, exec: async (nango) => { await help(nango as any) } });`,
	"records are saved, changed and deleted": sync("await nango.batchSave([{ id: '1', name: 'a' }], 'Item'); await nango.batchSave([{ id: '1' }], 'Other'); await nango.batchUpdate([{ id: '1', name: 'b' }], 'Item'); await nango.batchDelete([{ id: '1' }], 'Item'); await nango.batchSend([{ id: '1', name: 'x' }], 'Item');"),
	"records of a type of their own": `interface Row { id: string; extra: number } ${sync("const rows: z.infer<typeof Item>[] = []; rows.push({ id: '1', name: 'x' }); await nango.batchSave(rows, 'Item'); await nango.batchUpdate<{ id: string; name?: string }>([{ id: '1' }], 'Item'); const r: Row[] = []; await nango.batchSave(r.map((x) => ({ id: x.id, name: String(x.extra) })), 'Item');")}`,
	"records are read": sync("const m = await nango.getRecordsByIds(['1', '2'], 'Item'); const n = await nango.getRecordsByIds<string, { id: string; name: string }>(['1'], 'Item'); for await (const r of nango.listRecords<{ id: string; name: string }>('Item', { cursor: 'c' })) await nango.log(r.name, m.get('1'), n.get('1')?.name);"),
	"deletes are tracked": sync("await nango.trackDeletesStart('Item'); const { deletedKeys } = await nango.trackDeletesEnd('Item'); await nango.deleteRecordsFromPreviousExecutions('Other'); await nango.setMergingStrategy({ strategy: 'ignore_if_modified_after' }, 'Item'); await nango.log(deletedKeys.join());"),
	"what a sync knows": sync("const at: Date | undefined = nango.lastSyncDate; await nango.log(at?.toISOString() ?? nango.variant); await nango.log(String(nango.track_deletes));"),
	"all members of a sync": sync("await nango.log('x');", "version: '1.0.0', endpoints: [{ method: 'GET', path: '/a', group: 'g' }, { path: '/b', method: 'POST' }], syncType: 'full', trackDeletes: false, autoStart: false, scopes: ['a'], webhookSubscriptions: ['*'], metadata: z.object({ a: z.string() }), checkpoint: z.object({ b: z.string() }), onWebhook: async (nango, payload) => { await nango.batchSave([{ id: payload.id, name: payload.a.b }], 'Item'); },"),
	"metadata that are void": sync("await nango.log('x');", "metadata: z.void(),"),
	"an exec that is not async": `export default createAction({ description: "d", input: z.void(), output: z.string(), exec: () => "x" });`,
	"an action without answer": `export default createAction({ description: "d", input: z.void(), output: z.void(), exec: async (nango) => { await nango.log("x"); } });`,
	"an action with transforms and defaults": `export default createAction({ description: "d", input: z.object({ a: z.string().default("x"), b: z.string().transform(Number) }), output: z.object({ a: z.string(), b: z.number() }), exec: async (_nango, input) => ({ a: input.a, b: input.b }) });`,
	"a union as input": `const In = z.discriminatedUnion("k", [z.object({ k: z.literal("a"), x: z.string() }), z.object({ k: z.literal("b"), y: z.number() })]); export default createAction({ description: "d", input: In, output: z.union([z.string(), z.number()]), exec: async (_nango, input) => (input.k === "a" ? input.x : input.y) });`,
	"events": `export default createOnEvent({ description: "d", event: "validate-connection", version: "1.0.0", metadata: z.object({ a: z.string() }), exec: async (nango) => { await nango.getConnection(); throw new nango.ActionError({ message: "no" }); } });`,
	"the props and answers of create": `export type A = CreateActionProps<z.ZodString, z.ZodString>; export type B = CreateActionResponse<z.ZodString, z.ZodString>; export type C = CreateSyncProps<{ I: z.ZodObject<{ id: z.ZodString }> }>; export type D = CreateSyncResponse<any>; export type E = CreateOnEventProps; export type F = CreateOnEventResponse; export type G = CreateAnyResponse;`,
	"an error of a request": act("try { await nango.get({ endpoint: '/' }) } catch (error: any) { if (error.response?.status === 404) return null; throw new nango.ActionError({ type: 'provider', status: error.response?.status, message: error instanceof Error ? error.message : String(error) }) } return 1"),
};

const REFUSED = {
	"an output of another type": act("return 1").replace("z.any()", "z.string()"),
	"a member of the input that is not there": act("return input.nothing"),
	"a member of the definition that is missing": 'export default createAction({ description: "d", output: z.any(), exec: async () => 1 });',
	"a definition without exec": 'export default createAction({ description: "d", input: z.void(), output: z.any() });',
	"a request without endpoint": act("return nango.get({})"),
	"a request with another method": act("return nango.proxy({ endpoint: '/', method: 'FETCH' })"),
	"a get with a method": act("return nango.get({ endpoint: '/', method: 'GET' })"),
	"an option that is none": act("return nango.get({ endpoint: '/', retry: 3 })"),
	"retries as text": act("return nango.get({ endpoint: '/', retries: '3' })"),
	"a method that is none": act("return nango.fetch('/')"),
	"records of another model": sync("await nango.batchSave([{ id: '1', name: 'a' }], 'Nope');"),
	"models without id": 'export default createSync({ description: "d", frequency: "every day", models: { A: z.object({ name: z.string() }) }, exec: async () => {} });',
	"records in an action": act("await nango.batchSave([], 'Item'); return 1"),
	"metadata of another type": act("await nango.setMetadata({ team: 1 }); return 1", META),
	"metadata that are not there": act("return (await nango.getMetadata()).nope", META),
	"a checkpoint of another type": act("await nango.saveCheckpoint({ page: 'x', cursor: 'y' }); return 1", POINT),
	"a checkpoint that is not flat": act("return 1", "checkpoint: z.object({ a: z.object({ b: z.string() }) }),"),
	"a checkpoint without a schema": act("await nango.saveCheckpoint({ a: 1 }); return 1"),
	"a type of sync that is none": sync("await nango.log('x');", "syncType: 'half',"),
	"an event that is none": 'export default createOnEvent({ description: "d", event: "never", exec: async () => {} });',
	"an endpoint with another method": act("return 1", "endpoint: { method: 'HEAD', path: '/' },"),
	"a level that is none": act("nango.setLogger({ level: 'loud' }); return 1"),
	"a lock without a time": act("return nango.tryAcquireLock({ key: 'k' })"),
	"an address as text": act("return nango.uncontrolledFetch({ url: 'https://x' })"),
	"a strategy that is none": sync("await nango.setMergingStrategy({ strategy: 'mine' }, 'Item');"),
	"an import that is not there": 'import { nothing } from "nango"; nothing;',
	"a class that is only a type": 'import { ActionError as E } from "nango"; throw new E({});',
};

const entries = [...Object.entries(TAKEN), ...Object.entries(REFUSED)];
const fileOf = (at) => `crm/actions/s${at}.ts`;
const files = new Map(entries.map(([, text], at) => [fileOf(at), HEAD + text]));

// File -> the first error in it.
async function checkedByUs() {
	const found = new Map();
	for (const { file, message } of await checkTypes(files, fileOf(0)).result) if (!found.has(file)) found.set(file, message);
	return found;
}

function checkedByTheirs() {
	const folder = mkdtempSync(join(tmpdir(), "sluice-sdk-"));
	try {
		symlinkSync(modules, join(folder, "node_modules"));
		writeFileSync(join(folder, "package.json"), '{"type":"module"}');
		entries.forEach(([, text], at) => writeFileSync(join(folder, `s${at}.ts`), HEAD + text));
		const compilerOptions = { target: "esnext", module: "node16", moduleResolution: "node16", strict: true, skipLibCheck: true, noEmit: true };
		writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: entries.map((_each, at) => `s${at}.ts`) }));
		const { stdout } = spawnSync(process.execPath, [tsc, "-p", folder, "--pretty", "false"], { encoding: "utf8", maxBuffer: 1 << 26 });
		const found = new Map();
		for (const [, at, message] of stdout.matchAll(/^(?:\S*\/)?s(\d+)\.ts\(\d+,\d+\): error (.*)$/gm)) if (!found.has(fileOf(at))) found.set(fileOf(at), message);
		return found;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

test("the types of nango take and refuse what the published ones take and refuse", { skip }, async (t) => {
	const [ours, theirs] = [await checkedByUs(), checkedByTheirs()];
	for (const [at, [claim, text]] of entries.entries()) {
		await t.test(claim, () => {
			const refused = Object.hasOwn(REFUSED, claim);
			assert.equal(theirs.has(fileOf(at)), refused, `the published types: ${theirs.get(fileOf(at))}\n${text}`);
			assert.equal(ours.has(fileOf(at)), refused, `our types: ${ours.get(fileOf(at))}\n${text}`);
		});
	}
});
