// The side under test: a standalone sluiced, reached the way customers reach it.
import { join } from 'node:path';

import { startRig, waitFor } from '../../clients/rig.mjs';
import { openLedger } from './ledger.mjs';

const SCHEME = {
	'private-api-bearer': (key) => ({ type: 'API_KEY', apiKey: key }),
	'private-api-basic': (key) => ({ type: 'BASIC', username: key, password: 'geheim:ü' }),
	github: (key) => ({ type: 'OAUTH2', access_token: key }),
	hubspot: (key) => ({ type: 'OAUTH2', access_token: key }),
	unauthenticated: () => ({ type: 'NONE' }),
};

export async function startDaemon() {
	const rig = await startRig({ options: ['--log-level=debug'] });
	const secret = rig.keys.NANGO_SECRET_KEY_DEV;

	async function ask(method, path, body, headers = {}) {
		const answer = await fetch(rig.host + path, {
			method,
			headers: { authorization: `Bearer ${secret}`, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
			body: body === undefined ? undefined : JSON.stringify(body),
		});
		return { status: answer.status, text: await answer.text() };
	}

	async function must(wanted, method, path, body, headers) {
		const answer = await ask(method, path, body, headers);
		if (answer.status !== wanted) throw new Error(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 2000)}`);
		return answer;
	}

	const of = (integration, connection) => ({ 'provider-config-key': integration, 'connection-id': connection });

	const connect = (integration, provider, key, metadata) =>
		ask('POST', '/connections', {
			provider_config_key: integration,
			connection_id: key,
			credentials: SCHEME[provider](key),
			...(metadata && { metadata }),
		});

	async function connection(...args) {
		const answer = await connect(...args);
		if (answer.status !== 201) throw new Error(`POST /connections: ${answer.status} ${answer.text}`);
	}

	async function metadata(integration, key) {
		return JSON.parse((await must(200, 'GET', `/connections/${key}?provider_config_key=${integration}`)).text).metadata;
	}

	async function syncState(name, integration, key) {
		const query = new URLSearchParams({ syncs: name, provider_config_key: integration, connection_id: key });
		return JSON.parse((await must(200, 'GET', `/sync/status?${query}`)).text).syncs[0];
	}

	// Runs a sync to its end; its entry of /sync/status then.
	async function runSync(name, integration, key, mode) {
		const before = await waitFor(`${name} of ${key} is known`, () => syncState(name, integration, key));
		await must(200, 'POST', '/sync/trigger', { syncs: [name], provider_config_key: integration, connection_id: key, ...(mode && { sync_mode: mode }) });
		return waitFor(`${name} of ${key} ends`, async () => {
			const now = await syncState(name, integration, key);
			return now.status !== 'RUNNING' && now.finishedAt && now.finishedAt !== before.finishedAt && now;
		});
	}

	// [{ record, action }] by id.
	async function records(model, integration, key) {
		const all = [];
		for (let cursor = null; ; ) {
			const query = new URLSearchParams({ model, limit: '10000', ...(cursor && { cursor }) });
			const page = JSON.parse((await must(200, 'GET', `/records?${query}`, undefined, of(integration, key))).text);
			for (const { _nango_metadata: about, ...record } of page.records) all.push({ record, action: about.last_action });
			if (!page.next_cursor) return all.sort((a, b) => (a.record.id < b.record.id ? -1 : 1));
			cursor = page.next_cursor;
		}
	}

	// The provider tells of something.
	async function webhook(integration, payload) {
		const { data } = JSON.parse((await must(200, 'GET', `/integrations/${integration}?include=webhook`)).text);
		const { pathname } = new URL(data.webhook_url, rig.host);
		await must(200, 'POST', pathname, payload);
	}

	// Of one function: others that it calls log for themselves.
	function logsOf(key, name) {
		const lines = rig.log().split('\n');
		return lines.filter((line) => line.includes('msg="function_log"') && line.includes(` function=${name} `) && line.includes(`connection="${key}"`));
	}

	return {
		...{ host: rig.host, secret, log: rig.log, stop: rig.stop },
		...{ connect, connection, metadata, syncState, runSync, records, webhook, logsOf },
		integration: (name, provider, base) =>
			must(200, 'POST', '/integrations', {
				provider,
				unique_key: name,
				...(provider.startsWith('private') || provider === 'unauthenticated' ? { integration_config: { baseUrl: base } } : { credentials: { type: 'OAUTH2', client_id: 'id', client_secret: 'sec' } }),
			}),
		disconnect: (integration, key) => must(200, 'DELETE', `/connections/${key}?provider_config_key=${integration}`),
		deploy: (body) => must(200, 'POST', '/sync/deploy', body),
		// queued: by the queue, and asked for until it has ended.
		async trigger(name, integration, key, input, queued = false) {
			const headers = { ...of(integration, key), ...(queued && { 'x-async': 'true' }) };
			const answer = await ask('POST', '/action/trigger', { action_name: name, ...(input !== undefined && { input }) }, headers);
			if (!queued) return answer;
			const { statusUrl } = JSON.parse(answer.text);
			return waitFor(`${name} of ${key} ends`, async () => {
				const now = await ask('GET', statusUrl);
				return now.status !== 404 && now;
			});
		},
		errorOf: openLedger(join(rig.folder, 'data')),
	};
}
