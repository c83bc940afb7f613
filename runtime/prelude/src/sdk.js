// The `nango` object of a run.
import { define, isObject } from "./core.js";
import { HostError, ask, call, tell } from "./calls.js";
import { ActionError } from "./failure.js";
import { Headers, Response } from "./fetch.js";
import { asClient, request } from "./http.js";
import { paginate } from "./paginate.js";

const LEVELS = ["debug", "info", "warn", "error", "off"];
const LEVEL_NAMES = { verbose: "debug", silly: "debug", http: "info" };
const MAX_LOG = 99000;
const CONNECTION_MS = 60 * 1000;
const INTEGRATION_MS = 10 * 60 * 1000;
const CHUNK = 1000;
const PART = 500;
const SOUND_ID = 60; // characters; more may be too many bytes
const IDS_CHUNK = 100;
const TRANSPORT = /^[A-Z][A-Z0-9_]+$/;

// Members of the original's object that functions must not touch.
const INTERNAL = [
	"nango",
	"attributes",
	"integrationConfig",
	"memoizedConnections",
	"memoizedIntegration",
	"lifecycle",
	"abortSignal",
	"telemetry",
	"locking",
	"checkpoint",
	"axiosTemplate",
];

// One heap serves one run: what differs between runs is here, and all else is made before the heap is frozen.
const run = { where: null, logger: null, context: null };

// A value kept for `ms`; `key` tells several apart.
function keeper(ms) {
	let kept = Object.create(null);
	return {
		async get(key, make, anew) {
			const found = kept[key];
			if (!anew && found !== undefined && Date.now() - found.at < ms) return found.value;
			const value = await make();
			kept[key] = { value, at: Date.now() };
			return value;
		},
		drop() {
			kept = Object.create(null);
		},
	};
}

function levelOf(value) {
	const name = LEVEL_NAMES[value] || value;
	return LEVELS.indexOf(name) >= 0 && name !== "off" ? name : "info";
}

function logging() {
	return {
		async log() {
			const args = Array.prototype.slice.call(arguments);
			if (args.length === 0) return;
			const last = args[args.length - 1];
			let level = "info";
			if (args.length > 1 && isObject(last) && "level" in last) {
				level = levelOf(last.level);
				args.pop();
			}
			if (LEVELS.indexOf(level) < LEVELS.indexOf(run.logger.level)) return;
			const shown = typeof args[0] === "string" ? args[0] : JSON.stringify(args[0]);
			const entry = { level, message: String(shown).slice(0, MAX_LOG) };
			if (isObject(args[1])) {
				const meta = JSON.stringify(args[1]);
				if (meta !== undefined && meta.length < MAX_LOG) entry.meta = JSON.parse(meta);
			}
			tell("log", entry);
		},
		setLogger(options) {
			const level = options && (LEVEL_NAMES[options.level] || options.level);
			if (LEVELS.indexOf(level) < 0) throw new Error(`The logger level "${String(level)}" is not known`);
			if (run.logger.level !== "off") run.logger.level = level;
		},
	};
}

function http() {
	const send = (config) => request(config, run.where);
	const by = (method) => (config) => send(Object.assign({}, config, { method }));
	const defaults = async (config) => {
		try {
			const key = config.providerConfigKey || run.where.providerConfigKey;
			return (await ask("paginate_defaults", { providerConfigKey: key })) || {};
		} catch (error) {
			if (error instanceof HostError && error.code === "unsupported") return {};
			throw error;
		}
	};
	return {
		proxy: send,
		get: by("GET"),
		post: by("POST"),
		put: by("PUT"),
		patch: by("PATCH"),
		delete: by("DELETE"),
		paginate: (config) => paginate(config, () => defaults(config), (page, taken) => request(page, run.where, taken)),
		uncontrolledFetch: fetchDirectly,
	};
}

// As fetch() fails: a TypeError whose cause has the code of the transport.
function fetchError(error) {
	if (!(error instanceof HostError)) return error;
	if (error.code === "url_not_allowed") {
		return new ActionError({ code: "url_not_allowed", message: error.message });
	}
	if (!TRANSPORT.test(error.code)) return error;
	const failed = new TypeError("fetch failed");
	const cause = new Error(error.message);
	cause.code = error.code;
	define(failed, "cause", cause);
	return failed;
}

async function fetchDirectly(options) {
	const url = String(options.url);
	const method = String(options.method || "GET").toUpperCase();
	const headers = {};
	new Headers(options.headers).forEach((value, name) => {
		headers[name] = value;
	});
	const body = options.body === null ? undefined : options.body;
	if (body !== undefined && (method === "GET" || method === "HEAD")) {
		throw new TypeError("Request with GET/HEAD method cannot have body.");
	}
	if (typeof body === "string" && headers["content-type"] === undefined) {
		headers["content-type"] = "text/plain;charset=UTF-8";
	}
	try {
		const answer = await call("fetch", { url, method, headers }, body);
		return new Response(answer.body, answer.meta);
	} catch (error) {
		throw fetchError(error);
	}
}

function metadataResponse(answer) {
	const meta = answer.meta || {};
	return {
		data: meta.data,
		status: meta.status,
		statusText: meta.statusText || "",
		headers: {},
		config: {},
	};
}

function tokenOf(credentials) {
	if (!credentials) return credentials;
	switch (credentials.type) {
		case "OAUTH2":
			return credentials.access_token;
		case "OAUTH1":
			return { oAuthToken: credentials.oauth_token, oAuthTokenSecret: credentials.oauth_token_secret };
		default:
			return credentials;
	}
}

function account() {
	const connections = keeper(CONNECTION_MS);
	const integrations = keeper(INTEGRATION_MS);
	const getConnection = async (providerConfigKey, connectionId, options) => {
		const meta = Object.assign({}, options, {
			providerConfigKey: providerConfigKey || run.where.providerConfigKey,
			connectionId: connectionId || run.where.connectionId,
		});
		const anew = isObject(options) && Object.keys(options).some((name) => options[name]);
		const key = JSON.stringify([meta.providerConfigKey, meta.connectionId]);
		return connections.get(key, () => asClient("get", `/connections/${meta.connectionId}`, ask("connection", meta)), anew);
	};
	const getIntegration = async (options) => {
		const include = (options && options.include) || [];
		const meta = { providerConfigKey: run.where.providerConfigKey, include };
		return integrations.get(include.slice().sort().join(","), () => ask("integration", meta));
	};
	const write = (op) => async (metadata) => {
		connections.drop();
		const answer = await call(op, { ...run.where, metadata });
		connections.drop();
		return metadataResponse(answer);
	};
	const getMetadata = async () => (await getConnection()).metadata;
	const setMetadata = write("metadata_set");
	return {
		getConnection,
		getIntegration,
		getMetadata,
		updateMetadata: write("metadata_update"),
		setMetadata,
		getToken: async () => tokenOf((await getConnection()).credentials),
		getWebhookURL: async () => {
			const integration = await getIntegration({ include: ["webhook"] });
			return integration === null ? undefined : integration.webhook_url;
		},
		getEnvironmentVariables: async () => (await ask("environment_variables", {})) || [],
		getFlowAttributes: () => {
			if (!run.context.syncJobId) throw new Error("There is no current sync to get attributes from");
			return ask("get_flow_attributes", {});
		},
		getVariant: () => run.context.variant || "base",
		getFieldMapping: async () => ((await getMetadata()) || {}).fieldMapping || {},
		setFieldMapping: (mapping) => setMetadata(mapping),
	};
}

function orchestration() {
	return {
		triggerAction: (providerConfigKey, connectionId, actionName, input) =>
			asClient(
				"post",
				"/action/trigger",
				ask("trigger_action", { providerConfigKey, connectionId, actionName, input }),
			),
		triggerSync: async (providerConfigKey, connectionId, sync, options) => {
			const asked = ask("trigger_sync", { providerConfigKey, connectionId, sync, options });
			await asClient("post", "/sync/trigger", asked);
		},
		startSync: async (providerConfigKey, syncs, connectionId) => {
			const asked = ask("start_sync", { providerConfigKey, syncs, connectionId });
			await asClient("post", "/sync/start", asked);
		},
		tryAcquireLock: (options) => ask("try_acquire_lock", Object.assign({}, options)),
		releaseLock: (options) => ask("release_lock", Object.assign({}, options)),
		releaseAllLocks: async () => {
			await ask("release_all_locks", {});
		},
		getCheckpoint: () => ask("get_checkpoint", {}),
		saveCheckpoint: async (checkpoint) => {
			await ask("save_checkpoint", { checkpoint });
		},
		clearCheckpoint: async () => {
			await ask("clear_checkpoint", {});
		},
	};
}

function withoutMetadata(record) {
	if (!isObject(record) || !("_nango_metadata" in record)) return record;
	const { _nango_metadata: ignored, ...rest } = record;
	return rest;
}

function recordWriter(op) {
	return async (list, model) => {
		if (!list) return true;
		if (!Array.isArray(list)) throw new Error(`${op} needs a list of records`);
		for (let from = 0; from < list.length; from += CHUNK) {
			const chunk = list.slice(from, from + CHUNK).map(withoutMetadata);
			await call(op, { model, count: chunk.length }, JSON.stringify(chunk));
		}
		return true;
	};
}

async function* listRecords(model, options) {
	let cursor = options && options.cursor;
	for (;;) {
		const page = await ask("list_records", { model, cursor });
		for (let i = 0; i < page.records.length; i++) yield page.records[i];
		if (!page.next_cursor) return;
		cursor = page.next_cursor;
	}
}

// An id as it is stored.
const storedId = (id) => String(id).replace(/\u0000/g, "");

async function getRecordsByIds(ids, model) {
	const found = new Map();
	for (let from = 0; from < ids.length; from += IDS_CHUNK) {
		const chunk = ids.slice(from, from + IDS_CHUNK);
		const records = await ask("get_records_by_ids", { model, ids: chunk.map(String) });
		const byId = new Map(records.map((record) => [String(record.id), record]));
		chunk.forEach((id) => {
			if (byId.has(storedId(id))) found.set(id, byId.get(storedId(id)));
		});
	}
	return found;
}

// Whether the host will take each of these records, with an id that none of the others has.
function areSound(list, from, to) {
	const ids = Object.create(null);
	for (let i = from; i < to; i++) {
		const record = list[i];
		const id = isObject(record) && record.toJSON === undefined ? record.id : undefined;
		const sound = typeof id === "string" ? id !== "" && id.length <= SOUND_ID : typeof id === "number" && isFinite(id);
		if (!sound || ids[id]) return false;
		ids[id] = true;
	}
	return true;
}

// A batch goes to the host in parts that are not waited for one by one: while a part is written there, the next one is
// made here.  What is not sound goes as a whole, to be refused as a whole.
async function batchSave(list, model) {
	if (!Array.isArray(list) || list.length <= PART) return saveWhole(list, model);
	for (let from = 0; from < list.length; from += CHUNK) {
		const to = Math.min(from + CHUNK, list.length);
		if (!areSound(list, from, to)) {
			await saveWhole(list.slice(from, to), model);
			continue;
		}
		const parts = [];
		for (let at = from; at < to; at += PART) parts.push(outcome(saveWhole(list.slice(at, Math.min(at + PART, to)), model)));
		const failed = (await Promise.all(parts)).filter((part) => part.error !== undefined);
		if (failed.length > 0) throw failed[0].error;
	}
	return true;
}

const outcome = (promise) =>
	promise.then(
		() => ({}),
		(error) => ({ error }),
	);

const saveWhole = recordWriter("batch_save");

function records() {
	return {
		batchSave,
		batchSend: batchSave,
		batchUpdate: recordWriter("batch_update"),
		batchDelete: recordWriter("batch_delete"),
		getRecordsByIds,
		listRecords,
		trackDeletesStart: async (model) => {
			await ask("track_deletes_start", { model });
		},
		trackDeletesEnd: (model) => ask("track_deletes_end", { model }),
		deleteRecordsFromPreviousExecutions: (model) => ask("delete_records_from_previous_executions", { model }),
		setMergingStrategy: async (merging, model) => {
			await ask("set_merging_strategy", { strategy: merging.strategy, model });
		},
	};
}

function validation(log) {
	return {
		zodValidateInput: async ({ zodSchema, input }) => {
			const result = zodSchema.safeParse(input);
			if (result.success) return result;
			const issues = result.error.issues;
			for (let i = 0; i < issues.length; i++) {
				const where = issues[i].path.join(".");
				await log(`Invalid input provided: ${issues[i].message} at path ${where}`, { level: "error" });
			}
			throw new ActionError({ message: "Invalid input provided" });
		},
	};
}

const SCRIPT_TYPES = { action: "action", sync: "sync", webhook: "webhook", event: "on-event" };

// What a function may read; the order is that of the original.
function addMembers(out, kind) {
	const { context, where } = run;
	out.logger = run.logger;
	out.activityLogId = context.jobId;
	out.syncId = context.syncId;
	out.nangoConnectionId = context.nangoConnectionId;
	out.environmentId = context.environmentId;
	out.environmentName = context.environmentName;
	out.syncJobId = context.syncJobId;
	out.syncConfig = { sync_name: context.functionName };
	out.runnerFlags = {};
	out.scriptType = SCRIPT_TYPES[kind];
	out.isCLI = false;
	out.accountId = undefined;
	out.connectionId = where.connectionId;
	out.providerConfigKey = where.providerConfigKey;
	out.provider = context.provider;
	out.ActionError = ActionError;
	if (kind === "sync" || kind === "webhook") {
		out.variant = context.variant || "base";
		out.lastSyncDate = context.lastSyncDate ? new Date(context.lastSyncDate) : undefined;
		out.track_deletes = Boolean(context.trackDeletes);
		out.emptyCache = Boolean(context.emptyCache);
	}
}

function forbid(facade, name) {
	const refuse = () => {
		throw new Error(`nango.${name} is not available in functions`);
	};
	Object.defineProperty(facade, name, { get: refuse, set: refuse, enumerable: false, configurable: false });
}

function makeFacade(groups) {
	const facade = Object.create(null);
	groups.forEach((group) => Object.keys(group).forEach((name) => define(facade, name, group[name])));
	INTERNAL.forEach((name) => forbid(facade, name));
	return facade;
}

const logs = logging();
const common = [http(), account(), orchestration(), validation(logs.log), logs];
const plainFacade = makeFacade(common);
const syncFacade = makeFacade(common.concat([records()]));

export function createNango(kind, context) {
	run.context = context;
	run.where = { providerConfigKey: context.providerConfigKey, connectionId: context.connectionId };
	run.logger = { level: context.loggerLevel || "warn" };
	const facade = kind === "sync" || kind === "webhook" ? syncFacade : plainFacade;
	addMembers(facade, kind);
	return Object.freeze(facade);
}
