// The other side of the comparison, in a process of its own: functions in Node on the published SDK.
//
// The class below stands where the original's runner has its own: the base class, pagination, validation and
// the client are the published ones, requests go to the provider through the published axios.
import { createRequire } from 'node:module';
import vm from 'node:vm';

import { Nango } from '@nangohq/node';
import { ActionError, NangoActionBase, NangoSyncBase, executeUncontrolledFetch, validateCheckpoint } from '@nangohq/runner-sdk';
import axios, { isAxiosError } from 'axios';
import FormData from 'form-data';

import { Store } from './store.mjs';

const own = createRequire(import.meta.url);
const MODULES = ['zod', 'crypto', 'url', 'buffer'];
const LEVELS = { debug: 'debug', info: 'info', warn: 'warn', error: 'error', verbose: 'debug', silly: 'debug', http: 'info' };
const WITH_BODY = ['POST', 'PUT', 'PATCH', 'DELETE'];
const NETWORK = ['ECONNRESET', 'ETIMEDOUT', 'ECONNABORTED', 'ECONNREFUSED', 'EHOSTUNREACH', 'EAI_AGAIN', 'UND_ERR_SOCKET'];
const MAX_FRAMES = 10;
const MAX_OUTPUT = 2097152;
const quiet = Object.fromEntries(['log', 'info', 'warn', 'error', 'debug', 'trace'].map((name) => [name, () => {}]));

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const LOCKS = new Map();
console.warn = () => {}; // the published class complains about deprecated calls

// What the original's runner adds to a published base class.
const withHost = (Base) =>
	class extends Base {
		constructor(order, world, server) {
			super({
				connectionId: order.connectionId,
				providerConfigKey: order.integration,
				provider: order.provider,
				environmentId: 1,
				environmentName: 'dev',
				nangoConnectionId: 1,
				activityLogId: 'log',
				team: { id: 1, name: 'team' },
				scriptType: order.type,
				isCLI: false,
				runnerFlags: {},
				syncConfig: { sync_name: order.name },
				...(order.type !== 'action' && order.type !== 'on-event' && { syncId: 's', syncJobId: world.job, lastSyncDate: world.lastSyncDate }),
				...(order.level && { logger: { level: order.level } }),
			});
			this.nango = new Nango({ host: server.host, secretKey: server.secret, isSync: false, dryRun: true }, { userAgent: 'sdk' });
			this.base = server.base;
			this.logs = [];
			this.world = world;
			this.function = order.name;
		}

		// Base URL, parameters, headers and body as the original puts them together (wire.md 8 and 14.2).
		async urlOf(config) {
			const base = (config.baseUrlOverride || this.base).replace(/\/$/, '');
			const endpoint = config.endpoint.replace(/^\//, '');
			const full = [base, endpoint].filter(Boolean).join('/');
			if (typeof config.params === 'string') {
				if (full.includes('?')) throw new Error('Can not set query params in endpoint and in params');
				return new URL(`${full}${config.params.startsWith('?') ? '' : '?'}${config.params}`).toString();
			}
			const url = new URL(full);
			for (const [name, value] of Object.entries(config.params ?? {})) url.searchParams.set(name, value);
			return url.toString();
		}

		async headersOf(config, connection) {
			const headers = {};
			const { credentials } = connection;
			if (credentials.type === 'BASIC') {
				headers.authorization = `Basic ${Buffer.from(`${credentials.username}:${credentials.password ?? ''}`).toString('base64')}`;
			} else headers.authorization = `Bearer ${credentials.apiKey ?? credentials.access_token}`;
			const given = Object.entries(config.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]);
			return { ...headers, ...Object.fromEntries(given) };
		}

		async proxy(config) {
			this.throwIfAbortedOrKilled();
			const whole = this.getProxyConfig(config);
			const method = String(whole.method ?? 'GET').toUpperCase();
			for (let attempt = 0; ; attempt++) {
				const connection = await this.getConnection(config.providerConfigKey, config.connectionId);
				const headers = await this.headersOf(whole, connection);
				const request = { method, url: await this.urlOf(whole), headers };
				request.beforeRedirect = (options) => Object.assign(options.headers, headers);
				if (whole.responseType) request.responseType = whole.responseType;
				if (whole.data && WITH_BODY.includes(method)) {
					request.data = whole.data;
					if (headers['content-type'] === 'multipart/form-data') {
						request.data = new FormData();
						for (const [name, value] of Object.entries(whole.data)) request.data.append(name, value);
					}
				}
				if (whole.decompress) request.decompress = true;
				try {
					return await axios.request(request);
				} catch (error) {
					const status = error.response?.status;
					const again = status === undefined ? NETWORK.includes(error.code) : status === 429 || status >= 500 || (whole.retryOn ?? []).includes(status);
					if (!isAxiosError(error) || !again || attempt >= (whole.retries ?? 0)) throw error;
					await sleep(20);
				}
			}
		}

		async log(...args) {
			if (args.length === 0) return;
			const last = args[args.length - 1];
			let level = 'info';
			if (last && typeof last === 'object' && 'level' in last) {
				level = LEVELS[last.level];
				args.pop();
			}
			if (!this.shouldLog(level)) return;
			this.logs.push({ level, message: typeof args[0] === 'string' ? args[0] : JSON.stringify(args[0]), ...(args.length > 1 && { meta: JSON.stringify(args[1]) }) });
		}

		// The published one refuses loopback addresses whatever the policy.
		async uncontrolledFetch(options) {
			if (options.url.hostname !== '127.0.0.1') return executeUncontrolledFetch(options, () => {});
			const { url, method, headers, body } = options;
			return fetch(new URL(url.href), { method: method ?? 'GET', headers, ...(body && { body }) });
		}

		async tryAcquireLock({ key, ttlMs }) {
			const held = LOCKS.get(key);
			if (held && held.owner !== this && held.until > Date.now()) return false;
			LOCKS.set(key, { owner: this, until: Date.now() + ttlMs });
			return true;
		}

		async releaseLock({ key }) {
			if (LOCKS.get(key)?.owner !== this) return false;
			return LOCKS.delete(key);
		}

		async releaseAllLocks() {
			for (const [key, { owner }] of LOCKS) if (owner === this) LOCKS.delete(key);
		}

		async getCheckpoint() {
			this.throwIfAbortedOrKilled();
			return this.world.checkpoints.get(this.function) ?? null;
		}

		async saveCheckpoint(checkpoint) {
			const plain = JSON.parse(JSON.stringify(checkpoint));
			this.world.checkpoints.set(this.function, validateCheckpoint(plain));
		}

		async clearCheckpoint() {
			this.world.checkpoints.delete(this.function);
		}

		async triggerSync() {}

		async startSync() {}
	};

class Action extends withHost(NangoActionBase) {}

// Records as wire.md 4.3 has them, kept in this process.
class Sync extends withHost(NangoSyncBase) {
	#write(records, model, what) {
		this.throwIfAbortedOrKilled();
		if (!records || records.length === 0) return true;
		this.world.store.write(this.removeMetadata(records), model, what, this.world.job);
		return true;
	}

	async batchSave(records, model) {
		return this.#write(records, model, 'save');
	}

	async batchUpdate(records, model) {
		return this.#write(records, model, 'update');
	}

	async batchDelete(records, model) {
		return this.#write(records, model, 'delete');
	}

	async getRecordsByIds(ids, model) {
		return this.world.store.byIds(ids, model);
	}

	async *listRecords(model) {
		yield* this.world.store.list(model);
	}

	async setMergingStrategy() {}

	async trackDeletesStart(model) {
		if (!this.world.tracked.has(model)) this.world.tracked.set(model, this.world.job);
	}

	async trackDeletesEnd(model) {
		const since = this.world.tracked.get(model);
		if (since === undefined) throw new Error('trackDeletesEnd without trackDeletesStart');
		this.world.tracked.delete(model);
		return { deletedKeys: this.world.store.deleteOlder(model, since) };
	}

	async deleteRecordsFromPreviousExecutions(model) {
		return { deletedKeys: this.world.store.deleteOlder(model, this.world.job) };
	}
}

const FIELDS = [
	...['logger', 'activityLogId', 'syncId', 'nangoConnectionId', 'environmentId', 'environmentName', 'syncJobId', 'syncConfig'],
	...['runnerFlags', 'scriptType', 'isCLI', 'accountId', 'connectionId', 'providerConfigKey', 'provider', 'ActionError'],
];

const PRIVATE = ['nango', 'attributes', 'memoizedConnections', 'memoizedIntegration', 'integrationConfig', 'lifecycle', 'abortSignal'];
const OF_SYNCS = ['variant', 'lastSyncDate', 'track_deletes', 'emptyCache'];

// What functions get: methods are bound, the prototype is null.
function facade(nango, type) {
	const out = Object.create(null);
	for (let from = Object.getPrototypeOf(nango); from !== Object.prototype; from = Object.getPrototypeOf(from)) {
		for (const name of Object.getOwnPropertyNames(from)) {
			if (name === 'constructor' || name in out || typeof nango[name] !== 'function') continue;
			Object.defineProperty(out, name, { value: nango[name].bind(nango), enumerable: false });
		}
	}
	for (const name of PRIVATE) {
		const refuse = () => {
			throw new Error(`${name} is not for functions`);
		};
		Object.defineProperty(out, name, { get: refuse, set: refuse, enumerable: false });
	}
	for (const name of [...FIELDS, ...(type === 'sync' || type === 'webhook' ? OF_SYNCS : [])]) Object.defineProperty(out, name, { get: () => nango[name], enumerable: true });
	return out;
}

function load({ code, name, integration }) {
	const filename = `${name}-${integration}.cjs`;
	const script = new vm.Script(`(function (exports, require, module, console) {${code}\n})`, { filename });
	const module = { exports: {} };
	const require = (wanted) => {
		const bare = wanted.replace(/^node:/, '');
		if (!MODULES.includes(bare)) throw new Error(`Module '${wanted}' is not allowed`);
		return own(bare);
	};
	script.runInThisContext()(module.exports, require, module, quiet);
	return { definition: module.exports.default, filename };
}

function frames(error, filename) {
	const lines = String(error.stack).split('\n').map((line) => line.trim());
	return lines.filter((line) => line.startsWith('at ') && line.includes(filename)).slice(0, MAX_FRAMES);
}

// wire.md 2.1.
function failure(error, filename) {
	if (error instanceof ActionError || error?.type === 'action_script_runtime_error') {
		const { payload } = error;
		const shown = payload === undefined ? {} : JSON.parse(JSON.stringify(payload));
		return { status: 500, code: 'action_script_runtime_error', payload: shown !== null && typeof shown === 'object' && !Array.isArray(shown) ? shown : { message: shown } };
	}
	if (isAxiosError(error) && error.response) {
		const { status, data, headers } = error.response;
		const body = Buffer.isBuffer(data) ? data.toString() : data;
		const shown = Object.entries(headers).filter(([name]) => name === 'content-type' || name.startsWith('x-rate'));
		return {
			status: 424,
			code: 'script_http_error',
			payload: body !== null && typeof body === 'object' ? body : { message: body },
			upstream: { status, headers: Object.fromEntries(shown), body },
		};
	}
	if (isAxiosError(error)) return { status: 500, code: 'script_network_error', payload: { code: error.code, name: error.name } };
	if (!(error instanceof Error)) {
		return { status: 500, code: 'script_internal_error', payload: { message: JSON.stringify(error), name: 'Error', frames: [] } };
	}
	return {
		status: 500,
		code: 'script_internal_error',
		payload: { message: error.message, name: error.name, head: error.message === '' ? error.name : `${error.name}: ${error.message}`, frames: frames(error, filename) },
	};
}

const worlds = new Map();
let jobs = 0;

// What outlives the runs of a connection.
function worldOf(connectionId) {
	if (!worlds.has(connectionId)) worlds.set(connectionId, { store: new Store(), checkpoints: new Map(), tracked: new Map(), job: 0 });
	return worlds.get(connectionId);
}

function reset({ mode }, order, world) {
	if (mode === 'full_refresh' || mode === 'full_refresh_and_clear_cache') {
		world.checkpoints.delete(order.name);
		world.tracked.clear();
		world.lastSyncDate = undefined;
	}
	if (mode === 'full_refresh_and_clear_cache') world.store.clear();
}

function entry(definition, nango, order) {
	const bound = facade(nango, order.type);
	if (order.type === 'action') return definition.exec(bound, order.input === undefined ? {} : order.input || {});
	if (order.type === 'webhook') return definition.onWebhook(bound, order.input);
	return definition.exec(bound);
}

async function perform(order, server) {
	const world = worldOf(order.connectionId);
	world.job = ++jobs;
	world.store.begin(order.models ?? []);
	if (order.mode) reset(order, order, world);
	const records = order.type === 'sync' || order.type === 'webhook';
	const nango = new (records ? Sync : Action)(order, world, server);
	let filename = '';
	const ended = (more) => ({ logs: nango.logs, ...more, ...(records && { records: world.store.all(), result: world.store.counts, checkpoint: world.checkpoints.get(order.name) ?? null }) });
	try {
		const loaded = load(order);
		filename = loaded.filename;
		const output = await entry(loaded.definition, nango, order);
		if (order.type === 'sync' && loaded.definition.trackDeletes) for (const model of order.models) world.store.deleteOlder(model, world.job);
		if (order.type === 'sync') world.lastSyncDate = new Date();
		// wire.md 2.1; of a queued one 18.1.
		const text = JSON.stringify(order.type !== 'action' ? true : order.queued ? (output ?? null) : output || null);
		if (Buffer.byteLength(text ?? '') > MAX_OUTPUT) throw new Error('too large');
		return ended({ text });
	} catch (error) {
		return ended({ error: failure(error, filename) });
	} finally {
		await nango.releaseAllLocks();
	}
}

let server;
process.on('message', async (message) => {
	if (message.server) server = message.server;
	else process.send({ id: message.id, ...(await perform(message.order, server)) });
});
process.on('disconnect', () => process.exit(0));
process.on('unhandledRejection', () => {}); // a promise that nobody awaits ends no run
