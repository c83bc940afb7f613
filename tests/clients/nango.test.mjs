// The published clients, unmodified: the CLI deploys a project, the node client runs it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Nango } from '@nangohq/node';

import { cleanEnvironment, here, startRig, waitFor } from './rig.mjs';

const pck = 'clients-crm';
let rig, nango, project;

before(async () => {
	rig = await startRig();
	nango = new Nango({ secretKey: rig.keys.NANGO_SECRET_KEY_DEV, host: rig.host });
	project = join(rig.folder, 'project');
	cpSync(join(here, 'project'), project, { recursive: true });
	symlinkSync(join(here, 'node_modules'), join(rig.folder, 'node_modules'));
});
after(async () => rig?.stop());

// Runs the CLI in the project; answers { code, output }.
function cli(...words) {
	return new Promise((done) => {
		const child = spawn(process.execPath, [join(here, 'node_modules', 'nango', 'dist', 'index.js'), ...words], {
			cwd: project,
			stdio: ['ignore', 'pipe', 'pipe'],
			env: cleanEnvironment({
				HOME: rig.folder,
				NANGO_HOSTPORT: rig.host,
				NANGO_SECRET_KEY_DEV: rig.keys.NANGO_SECRET_KEY_DEV,
				NANGO_CLI_UPGRADE_MODE: 'ignore',
				NANGO_CLI_TELEMETRY: 'false',
				NANGO_CLI_DEPENDENCY_UPDATE: 'false',
				NANGO_DEPLOY_AUTO_CONFIRM: 'true'
			})
		});
		let output = '';
		child.stdout.on('data', (data) => (output += data));
		child.stderr.on('data', (data) => (output += data));
		const timer = setTimeout(() => child.kill('SIGKILL'), 120000);
		child.on('close', (code) => {
			clearTimeout(timer);
			done({ code, output });
		});
	});
}

// The error that the client throws for a failed request.
async function failure(promise) {
	try {
		await promise;
	} catch (error) {
		assert.ok(error.response, `no answer: ${error}`);
		return { status: error.response.status, error: error.response.data.error };
	}
	assert.fail('the call succeeded');
}

test('createIntegration makes one that getIntegration and listIntegrations show', async () => {
	const made = await nango.createIntegration({
		provider: 'private-api-bearer',
		unique_key: pck,
		display_name: 'CRM of the clients',
		integration_config: { baseUrl: rig.provider.url }
	});
	assert.equal(made.data.unique_key, pck);
	const { data } = await nango.getIntegration({ uniqueKey: pck }, { include: ['credentials'] });
	assert.equal(data.display_name, 'CRM of the clients');
	assert.equal(data.credentials, null);
	const { configs } = await nango.listIntegrations();
	assert.deepEqual(configs.map((config) => config.unique_key), [pck]);
});

test('updateIntegration changes the display name', async () => {
	const { data } = await nango.updateIntegration({ uniqueKey: pck }, { display_name: 'Renamed' });
	assert.equal(data.display_name, 'Renamed');
});

test('listProviders and getProvider know the catalog', async () => {
	const { data } = await nango.listProviders({});
	assert.ok(data.some((provider) => provider.name === 'hubspot'));
	assert.equal((await nango.getProvider({ provider: 'github' })).data.name, 'github');
});

// The client has no method for this.
async function importConnection(connectionId, apiKey = 'clients-api-key', more = {}) {
	return fetch(`${rig.host}/connections`, {
		method: 'POST',
		headers: { authorization: `Bearer ${rig.keys.NANGO_SECRET_KEY_DEV}`, 'content-type': 'application/json' },
		body: JSON.stringify({
			provider_config_key: pck,
			connection_id: connectionId,
			credentials: { type: 'API_KEY', apiKey },
			...more
		})
	});
}

test('a connection is imported over POST /connections', async () => {
	const tags = { end_user_display_name: 'Ann', end_user_email: 'ann@example.org' };
	assert.equal((await importConnection('ann', undefined, { tags })).status, 201);
});

test('getConnection and getToken give the credentials back', async () => {
	const connection = await nango.getConnection(pck, 'ann');
	assert.equal(connection.connection_id, 'ann');
	assert.equal(connection.provider, 'private-api-bearer');
	assert.deepEqual(connection.credentials, { type: 'API_KEY', apiKey: 'clients-api-key' });
	assert.equal((await nango.getToken(pck, 'ann')).apiKey, 'clients-api-key');
});

test('listConnections finds by id and by tags', async () => {
	const all = await nango.listConnections();
	assert.deepEqual(all.connections.map((connection) => connection.connection_id), ['ann']);
	const tagged = await nango.listConnections({ tags: { displayName: 'Ann', email: 'ann@example.org' } });
	assert.equal(tagged.connections.length, 1);
	const none = await nango.listConnections({ tags: { displayName: 'Bob' } });
	assert.equal(none.connections.length, 0);
});

test('patchConnection changes tags', async () => {
	await nango.patchConnection({ connectionId: 'ann', provider_config_key: pck }, { tags: { team: 'x' } });
	assert.equal((await nango.getConnection(pck, 'ann')).tags.team, 'x');
});

test('metadata is set, merged and read', async () => {
	await nango.setMetadata(pck, 'ann', { a: 1, b: { c: 2 } });
	await nango.updateMetadata(pck, 'ann', { b: 3 });
	assert.deepEqual(await nango.getMetadata(pck, 'ann'), { a: 1, b: 3 });
	await nango.setMetadata(pck, ['ann'], { z: 1 });
	assert.deepEqual(await nango.getMetadata(pck, 'ann'), { z: 1 });
});

test('getEnvironmentVariables answers a list', async () => {
	assert.deepEqual(await nango.getEnvironmentVariables(), []);
});

test('nango deploy dev deploys the project', async () => {
	const { code, output } = await cli('deploy', 'dev');
	assert.equal(code, 0, output);
	for (const name of ['echo', 'read-contact', 'refuse', 'remember', 'steer', 'contacts', 'pulse']) {
		assert.match(output, new RegExp(`- ${name}@v1\\.0\\.0`), output);
	}
	for (const name of ['check', 'welcome']) assert.match(output, new RegExp(`- ${name}@v0\\.0\\.1`), output);
});

test('triggerAction runs a deployed action', async () => {
	assert.deepEqual(await nango.triggerAction(pck, 'ann', 'echo', { text: 'Grüße 😀', count: 2 }), {
		text: 'Grüße 😀',
		count: 2,
		revision: 1
	});
});

test('triggerAction calls the provider with the credentials of the connection', async () => {
	assert.deepEqual(await nango.triggerAction(pck, 'ann', 'read-contact', { id: '7' }), { id: '7', name: 'Name of 7' });
	assert.equal(rig.provider.calls.at(-1).headers.authorization, 'Bearer clients-api-key');
});

test('an action reads and writes the metadata of its connection', async () => {
	assert.deepEqual(await nango.triggerAction(pck, 'ann', 'remember', { value: 'v' }), { noted: 'v' });
	assert.deepEqual(await nango.getMetadata(pck, 'ann'), { z: 1, noted: 'v' });
});

async function syncEnd() {
	return waitFor('the end of the sync', async () => {
		const { syncs } = await nango.syncStatus(pck, ['contacts'], 'ann');
		return syncs[0].status !== 'RUNNING' && syncs[0];
	});
}

test('triggerSync runs a deployed sync and syncStatus tells its result', async () => {
	const [before] = (await nango.syncStatus(pck, '*', 'ann')).syncs;
	assert.equal(before.name, 'contacts');
	assert.equal(before.status, 'PAUSED');
	assert.equal(before.nextScheduledSyncAt, null);
	assert.equal(before.type, 'INITIAL');
	assert.ok(!('latestResult' in before));
	const answer = await nango.triggerSync(pck, ['contacts'], 'ann');
	assert.deepEqual(answer.data, { success: true });
	const entry = await syncEnd();
	assert.equal(entry.status, 'PAUSED'); // one run does not start its schedule
	assert.equal(entry.latestExecutionStatus, 'SUCCESS');
	assert.equal(entry.frequency, 'every hour');
	assert.deepEqual(entry.latestResult, { Contact: { added: 3, updated: 0, deleted: 0 } });
	assert.deepEqual(entry.recordCount, { Contact: 3 });
	assert.deepEqual(entry.checkpoint, { runs: 1 });
});

test('listRecords gives pages with cursors, filters and ids', async () => {
	const first = await nango.listRecords({ providerConfigKey: pck, connectionId: 'ann', model: 'Contact', limit: 2 });
	assert.equal(first.records.length, 2);
	const rest = await nango.listRecords({ providerConfigKey: pck, connectionId: 'ann', model: 'Contact', cursor: first.next_cursor });
	assert.equal(rest.next_cursor, null);
	assert.deepEqual([...first.records, ...rest.records].map((record) => record.id).sort(), ['1', '2', '3']);
	assert.equal(first.records[0].name, `Name of ${first.records[0].id}`);
	assert.equal(first.records[0]._nango_metadata.last_action, 'ADDED');
	const chosen = await nango.listRecords({ providerConfigKey: pck, connectionId: 'ann', model: 'Contact', ids: ['2'] });
	assert.deepEqual(chosen.records.map((record) => record.id), ['2']);
});

test('pruneRecords empties what was read and says whether more is left', async () => {
	const { records } = await nango.listRecords({ providerConfigKey: pck, connectionId: 'ann', model: 'Contact' });
	const untilCursor = records[1]._nango_metadata.cursor;
	const prune = (more) => nango.pruneRecords({ providerConfigKey: pck, connectionId: 'ann', model: 'Contact', untilCursor, ...more });
	assert.deepEqual(await prune({ limit: 1 }), { count: 1, has_more: true });
	assert.deepEqual(await prune({ variant: 'base' }), { count: 1, has_more: false });
	const after = (await nango.listRecords({ providerConfigKey: pck, connectionId: 'ann', model: 'Contact' })).records;
	assert.deepEqual(after.map((record) => Object.keys(record).length > 2), [false, false, true]);
	assert.deepEqual(after.map((record) => record._nango_metadata.cursor), records.map((record) => record._nango_metadata.cursor));
	assert.deepEqual(after.map((record) => record._nango_metadata.pruned_at !== null), [true, true, false]);
});

test('a second run deletes, and triggerSync takes options and the old modes', async () => {
	await nango.triggerSync(pck, [{ name: 'contacts', variant: 'base' }], 'ann', { reset: false });
	assert.deepEqual((await syncEnd()).checkpoint, { runs: 2 });
	const { records } = await nango.listRecords({ providerConfigKey: pck, connectionId: 'ann', model: 'Contact', filter: 'deleted' });
	assert.deepEqual(records.map((record) => record.id), ['3']);
	await nango.triggerSync(pck, ['contacts'], 'ann', 'full_refresh_and_clear_cache');
	const entry = await syncEnd();
	assert.deepEqual(entry.checkpoint, { runs: 1 });
	assert.deepEqual(entry.recordCount, { Contact: 3 });
});

async function pulse(variant = 'base') {
	const { syncs } = await nango.syncStatus(pck, [{ name: 'pulse', variant }], 'ann');
	return syncs[0];
}

test('a deployed sync with autoStart runs at once and then by its frequency', async () => {
	const entry = await waitFor('the first run', async () => {
		const now = await pulse();
		return now.latestExecutionStatus === 'SUCCESS' && now;
	});
	assert.equal(entry.status, 'SUCCESS');
	assert.equal(entry.frequency, 'every half hour');
	const wait = new Date(entry.nextScheduledSyncAt) - Date.now();
	assert.ok(wait > 0 && wait <= 1800000, entry.nextScheduledSyncAt);
	const { records } = await nango.listRecords({ providerConfigKey: pck, connectionId: 'ann', model: 'Beat' });
	assert.deepEqual(records.map(({ id, first }) => [id, first]), [['base', true]]);
});

test('pauseSync and startSync hold a schedule and let it go on', async () => {
	const before = await pulse();
	await nango.pauseSync(pck, ['pulse'], 'ann');
	assert.equal((await pulse()).status, 'PAUSED');
	assert.equal((await pulse()).nextScheduledSyncAt, null);
	const answer = await nango.startSync(pck, [{ name: 'pulse', variant: 'base' }], 'ann');
	assert.deepEqual(answer.data, { success: true });
	assert.equal((await pulse()).status, 'SUCCESS');
	assert.equal((await pulse()).nextScheduledSyncAt, before.nextScheduledSyncAt);
	await nango.pauseSync(pck, []); // every sync of every connection
	assert.deepEqual((await nango.syncStatus(pck, '*')).syncs.map(({ status }) => status), ['PAUSED', 'PAUSED']);
	assert.equal((await failure(nango.startSync(pck, ['nosuch'], 'ann'))).error.code, 'no_syncs_found');
});

test('updateSyncConnectionFrequency gives a connection its own frequency and takes it back', async () => {
	assert.deepEqual(await nango.updateSyncConnectionFrequency(pck, 'pulse', 'ann', 'every 1h'), { frequency: '1h' });
	assert.equal((await pulse()).frequency, '1h');
	const base = { name: 'pulse', variant: 'base' };
	assert.deepEqual(await nango.updateSyncConnectionFrequency(pck, base, 'ann', null), { frequency: 'every half hour' });
	const { status, error } = await failure(nango.updateSyncConnectionFrequency(pck, 'pulse', 'ann', 'every 29s'));
	assert.equal(status, 400);
	assert.equal(error.code, 'invalid_body');
});

test('createSyncVariant and deleteSyncVariant make and remove a sync with records of its own', async () => {
	const place = { provider_config_key: pck, connection_id: 'ann', name: 'pulse', variant: 'west' };
	const made = await nango.createSyncVariant(place);
	assert.deepEqual({ ...made, id: made.id.length }, { id: 36, name: 'pulse', variant: 'west' });
	assert.equal((await failure(nango.createSyncVariant(place))).error.code, 'sync_variant_already_exists');
	const ran = async (since) => {
		const now = await pulse('west');
		return now.latestExecutionStatus === 'SUCCESS' && now.finishedAt !== since && now;
	};
	const first = await waitFor('its first run', () => ran()); // autoStart holds for variants
	const west = async () => {
		const { records } = await nango.listRecords({ providerConfigKey: pck, connectionId: 'ann', model: 'Beat', variant: 'west' });
		return records.map(({ id }) => id);
	};
	assert.deepEqual(await west(), ['west']);
	await nango.pauseSync(pck, ['pulse::west'], 'ann');
	assert.deepEqual(await nango.triggerAction(pck, 'ann', 'steer', { variant: 'west' }), { done: true });
	assert.equal((await waitFor('the run that a function asked for', () => ran(first.finishedAt))).status, 'SUCCESS');
	await nango.triggerSync(pck, [{ name: 'pulse', variant: 'west' }], 'ann', true);
	assert.deepEqual(await nango.deleteSyncVariant(place), { success: true });
	assert.equal(await pulse('west'), undefined);
	assert.equal((await failure(nango.deleteSyncVariant(place))).status, 404);
	await waitFor('its records are gone', async () => (await west()).length === 0);
});

test('an unknown sync is 400, an unknown connection 404, a wrong model 400', async () => {
	assert.equal((await failure(nango.triggerSync(pck, ['nosuch'], 'ann'))).error.code, 'no_syncs_found');
	const { status, error } = await failure(nango.triggerSync(pck, ['contacts'], 'nobody'));
	assert.equal(status, 404);
	assert.equal(error.code, 'unknown_connection');
	const wrong = await failure(nango.listRecords({ providerConfigKey: pck, connectionId: 'ann', model: 'contact' }));
	assert.equal(wrong.error.code, 'invalid_query_params');
});

test('deployed on-event functions judge and greet a new connection', async () => {
	const refused = await importConnection('eve', 'stolen-key');
	assert.equal(refused.status, 400);
	const { error } = await refused.json();
	assert.equal(error.code, 'connection_validation_failed');
	assert.equal(error.message, 'this key is not one of ours');
	assert.equal((await importConnection('bob')).status, 201);
	await waitFor('bob is greeted', async () => (await nango.getMetadata(pck, 'bob')).welcome === true);
	await nango.deleteConnection(pck, 'bob');
});

async function asyncResult(props) {
	return waitFor('the async result', async () => {
		try {
			return { value: await nango.getAsyncActionResult(props) };
		} catch (error) {
			if (error.response?.status !== 404) throw error;
			return undefined;
		}
	});
}

test('triggerActionAsync and getAsyncActionResult work by id and by statusUrl', async () => {
	const job = await nango.triggerActionAsync(pck, 'ann', 'read-contact', { id: '8' });
	assert.match(job.id, /^[0-9a-f-]{36}$/);
	assert.equal(job.statusUrl, `/action/${job.id}`);
	assert.deepEqual((await asyncResult({ id: job.id })).value, { id: '8', name: 'Name of 8' });
	assert.deepEqual((await asyncResult({ statusUrl: job.statusUrl })).value, { id: '8', name: 'Name of 8' });
});

test('an ActionError arrives as 500 with its payload', async () => {
	const { status, error } = await failure(nango.triggerAction(pck, 'ann', 'refuse', { why: 'no' }));
	const lines = readFileSync(join(project, pck, 'actions', 'refuse.ts'), 'utf8').split('\n');
	const at = lines.findIndex((line) => line.includes('throw')) + 1;
	assert.match(error.additional_properties.typescript[0], new RegExp(`^${pck}/actions/refuse\\.ts:${at}:\\d+$`));
	assert.equal(status, 500);
	assert.equal(error.code, 'action_script_runtime_error');
	assert.deepEqual(error.payload, { code: 7, reason: 'no' });
});

test('an ActionError of an async job arrives the same way', async () => {
	const job = await nango.triggerActionAsync(pck, 'ann', 'refuse', { why: 'later' });
	const { status, error } = await failure(asyncResult({ id: job.id }));
	assert.equal(status, 500);
	assert.deepEqual(error.payload, { code: 7, reason: 'later' });
});

test('a provider error arrives as 424 with what the provider said', async () => {
	const { status, error } = await failure(nango.triggerAction(pck, 'ann', 'read-contact', { id: 'teapot' }));
	assert.equal(status, 424);
	assert.equal(error.code, 'script_http_error');
	assert.equal(error.upstream.status, 418);
	assert.deepEqual(error.payload, { message: 'short and stout' });
});

test('an unknown action is 404, an unknown connection 400', async () => {
	assert.equal((await failure(nango.triggerAction(pck, 'ann', 'nosuch'))).status, 404);
	const { status, error } = await failure(nango.triggerAction(pck, 'nobody', 'echo'));
	assert.equal(status, 400);
	assert.equal(error.code, 'unknown_connection');
});

test('a wrong key is 401', async () => {
	const stranger = new Nango({ secretKey: '11111111-2222-4333-8444-555555555555', host: rig.host });
	const { status, error } = await failure(stranger.listIntegrations());
	assert.equal(status, 401);
	assert.equal(error.code, 'unknown_account');
});

test('a second deploy replaces the code that runs', async () => {
	const file = join(project, pck, 'actions', 'echo.ts');
	writeFileSync(file, readFileSync(file, 'utf8').replace('revision: 1', 'revision: 2'));
	const { code, output } = await cli('deploy', 'dev');
	assert.equal(code, 0, output);
	assert.equal((await nango.triggerAction(pck, 'ann', 'echo', { text: 'x' })).revision, 2);
});

test('deploying one action leaves the others', async () => {
	const file = join(project, pck, 'actions', 'echo.ts');
	writeFileSync(file, readFileSync(file, 'utf8').replace('revision: 2', 'revision: 3'));
	const { code, output } = await cli('deploy', 'dev', '--action', 'echo');
	assert.equal(code, 0, output);
	assert.equal((await nango.triggerAction(pck, 'ann', 'echo', { text: 'x' })).revision, 3);
	assert.equal((await nango.triggerAction(pck, 'ann', 'read-contact', { id: '9' })).id, '9');
});

test('an action that left the project leaves the server', async () => {
	rmSync(join(project, pck, 'actions', 'refuse.ts'));
	const index = join(project, 'index.ts');
	writeFileSync(index, readFileSync(index, 'utf8').replace(/.*refuse.*\n/, ''));
	const { code, output } = await cli('deploy', 'dev', '--allow-destructive');
	assert.equal(code, 0, output);
	assert.equal((await failure(nango.triggerAction(pck, 'ann', 'refuse', { why: 'x' }))).status, 404);
});

test('a deploy with a wrong key fails with the reason', async () => {
	const key = rig.keys.NANGO_SECRET_KEY_DEV;
	rig.keys.NANGO_SECRET_KEY_DEV = '11111111-2222-4333-8444-555555555555';
	try {
		const { code, output } = await cli('deploy', 'dev');
		assert.notEqual(code, 0);
		assert.match(output, /unknown_account/);
	} finally {
		rig.keys.NANGO_SECRET_KEY_DEV = key;
	}
});

test('deleteConnection and deleteIntegration remove what they name', async () => {
	await nango.deleteConnection(pck, 'ann');
	assert.equal((await failure(nango.getConnection(pck, 'ann'))).status, 404);
	await nango.deleteIntegration(pck);
	assert.equal((await failure(nango.getIntegration({ uniqueKey: pck }))).status, 404);
});
