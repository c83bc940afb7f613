// The other side of the comparison, in a process of its own: functions in Node on the published SDK.
//
// The class below stands where the original's runner has its own: the base class, pagination, validation and
// the client are the published ones, requests go to the provider through the published axios.
import { createRequire } from 'node:module';
import vm from 'node:vm';

import { Nango } from '@nangohq/node';
import { ActionError, NangoActionBase } from '@nangohq/runner-sdk';
import axios, { isAxiosError } from 'axios';
import FormData from 'form-data';

const own = createRequire(import.meta.url);
const MODULES = ['zod', 'crypto', 'url', 'buffer'];
const LEVELS = { debug: 'debug', info: 'info', warn: 'warn', error: 'error', verbose: 'debug', silly: 'debug', http: 'info' };
const WITH_BODY = ['POST', 'PUT', 'PATCH', 'DELETE'];
const NETWORK = ['ECONNRESET', 'ETIMEDOUT', 'ECONNABORTED', 'ECONNREFUSED', 'EHOSTUNREACH', 'EAI_AGAIN', 'UND_ERR_SOCKET'];
const MAX_FRAMES = 10;
const MAX_OUTPUT = 2097152;
const quiet = Object.fromEntries(['log', 'info', 'warn', 'error', 'debug', 'trace'].map((name) => [name, () => {}]));

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

class Reference extends NangoActionBase {
	constructor(order, server) {
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
			...(order.syncId && { syncId: 's' }),
		});
		this.nango = new Nango({ host: server.host, secretKey: server.secret, isSync: false, dryRun: true }, { userAgent: 'sdk' });
		this.base = server.base;
		this.logs = [];
		this.kept = null;
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
		this.logs.push({ level, message: typeof args[0] === 'string' ? args[0] : JSON.stringify(args[0]) });
	}

	// The published one refuses loopback addresses whatever the policy.
	uncontrolledFetch({ url, method, headers, body }) {
		return fetch(new URL(url.href), { method: method ?? 'GET', headers, ...(body && { body }) });
	}

	async tryAcquireLock() {
		return true;
	}

	async releaseLock() {
		return true;
	}

	async releaseAllLocks() {}

	async getCheckpoint() {
		return this.kept;
	}

	async saveCheckpoint(checkpoint) {
		this.kept = JSON.parse(JSON.stringify(checkpoint));
	}

	async clearCheckpoint() {
		this.kept = null;
	}
}

const FIELDS = [
	...['logger', 'activityLogId', 'syncId', 'nangoConnectionId', 'environmentId', 'environmentName', 'syncJobId', 'syncConfig'],
	...['runnerFlags', 'scriptType', 'isCLI', 'accountId', 'connectionId', 'providerConfigKey', 'provider', 'ActionError'],
];

// What functions get: methods are bound, the prototype is null.
function facade(nango) {
	const out = Object.create(null);
	for (let from = Object.getPrototypeOf(nango); from !== Object.prototype; from = Object.getPrototypeOf(from)) {
		for (const name of Object.getOwnPropertyNames(from)) {
			if (name === 'constructor' || name in out || typeof nango[name] !== 'function') continue;
			Object.defineProperty(out, name, { value: nango[name].bind(nango), enumerable: false });
		}
	}
	for (const name of FIELDS) Object.defineProperty(out, name, { get: () => nango[name], enumerable: true });
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
		return { status: 500, code: 'action_script_runtime_error', payload: shown !== null && typeof shown === 'object' ? shown : { message: shown } };
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

async function perform(order, server) {
	const nango = new Reference(order, server);
	let filename = '';
	try {
		const loaded = load(order);
		filename = loaded.filename;
		const input = order.input === undefined ? {} : order.input || {};
		const output = await loaded.definition.exec(facade(nango), input);
		const text = JSON.stringify(output || null);
		if (Buffer.byteLength(text ?? '') > MAX_OUTPUT) throw new Error('too large');
		return { logs: nango.logs, text };
	} catch (error) {
		return { logs: nango.logs, error: failure(error, filename) };
	}
}

let server;
process.on('message', async (message) => {
	if (message.server) server = message.server;
	else process.send({ id: message.id, ...(await perform(message.order, server)) });
});
process.on('disconnect', () => process.exit(0));
