// Webhooks that a running sluiced sends, judged by the packages that receivers use, unmodified.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { Nango } from '@nangohq/node';
import { Webhook } from 'standardwebhooks';

import { startRig, waitFor } from './rig.mjs';

const pck = 'clients-crm';
const received = []; // { headers, body }, in the order in which they came
let rig, receiver, key, nango;

// Answers 204 to everything and keeps it.
function startReceiver() {
	const server = createServer((request, response) => {
		let body = '';
		request.setEncoding('utf8');
		request.on('data', (data) => (body += data));
		request.on('end', () => {
			received.push({ headers: request.headers, body });
			response.writeHead(204).end();
		});
	});
	return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

async function request(method, path, body, secret = rig.keys.NANGO_SECRET_KEY_DEV) {
	const answer = await fetch(rig.host + path, {
		method,
		headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
		body: body && JSON.stringify(body)
	});
	const text = await answer.text();
	assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
	return JSON.parse(text);
}

const operator = (method, path, body) => request(method, `/admin/v1/environments/dev${path}`, body, rig.keys.SLUICE_OPERATOR_KEY);

// A flow as the CLI uploads it; code is the body of exec(nango, input).
function flow(type, name, models, code, more) {
	const definition = type === 'sync' ? 'frequency: "every hour", autoStart: false, models: { Contact: z.object({ id: z.string() }) },' : 'input: z.any(), output: z.any(),';
	return {
		type,
		syncName: name,
		providerConfigKey: pck,
		models,
		version: '1.0.0',
		metadata: { description: 'test', scopes: [] },
		fileBody: {
			js: `"use strict"; var z = require("zod"); module.exports = { default: { type: "${type}", description: "test", ${definition} exec: async (nango, input) => { ${code} } } };`,
			ts: 'export default {};'
		},
		endpoints: [],
		track_deletes: false,
		models_json_schema: { definitions: Object.fromEntries(models.map((model) => [model, { type: 'object' }])) },
		features: [],
		...more
	};
}

const action = (name, code) => flow('action', name, [`ActionOutput_${name}`], code, { input: null, runs: null });

const importConnection = (connectionId) =>
	request('POST', '/connections', { provider_config_key: pck, connection_id: connectionId, credentials: { type: 'API_KEY', apiKey: 'clients-api-key' } });

function webhook(what, matches) {
	return waitFor(what, () => received.find((one) => matches(JSON.parse(one.body))), 20000);
}

// What triggerActionAsync() answered, and the webhook that told of its end.
async function runAsync(name) {
	const job = await nango.triggerActionAsync(pck, 'ann', name, {});
	return { job, told: await webhook(`the end of ${name}`, ({ type, payload }) => type === 'async_action' && payload.id === job.id) };
}

const clientWith = (webhookSigningKey) => new Nango({ apiKey: rig.keys.NANGO_SECRET_KEY_DEV, host: rig.host, webhookSigningKey });
const secretOf = (text) => `whsec_${Buffer.from(text).toString('base64')}`;

function acceptedByAll({ headers, body }) {
	assert.equal(nango.verifyIncomingWebhookRequest(body, headers), true);
	assert.equal(nango.verifyWebhookSignature(headers['x-nango-signature'], JSON.parse(body)), true);
	assert.deepEqual(new Webhook(secretOf(key)).verify(body, headers), JSON.parse(body));
}

function refusedByAll({ headers, body }) {
	assert.equal(nango.verifyIncomingWebhookRequest(body, headers), false);
	assert.equal(nango.verifyWebhookSignature(headers['x-nango-signature'], JSON.parse(body)), false);
	assert.throws(() => new Webhook(secretOf(key)).verify(body, headers), { name: 'WebhookVerificationError', message: 'No matching signature found' });
}

before(async () => {
	receiver = await startReceiver();
	rig = await startRig();
	await operator('PATCH', '', { webhook_url: `http://127.0.0.1:${receiver.address().port}/hooks`, webhook_events: 'all' });
	key = (await operator('GET', '/signing-key')).webhook_signing_key;
	nango = clientWith(key);
	await nango.createIntegration({ provider: 'private-api-bearer', unique_key: pck, integration_config: { baseUrl: rig.provider.url } });
	await importConnection('ann');
	await request('POST', '/sync/deploy', {
		flowConfigs: [
			action('greet', "return { text: 'Grüße 😀', list: [1, { b: 2, a: null }] };"),
			action('refuse', "throw new nango.ActionError({ message: 'not today' });"),
			flow('sync', 'contacts', ['Contact'], "await nango.batchSave([{ id: '1' }, { id: '2' }], 'Contact');", {
				runs: 'every hour',
				auto_start: false,
				sync_type: 'full',
				attributes: {}
			})
		],
		deployMode: 'single',
		reconcile: true,
		debug: false,
		nangoYamlBody: '',
		sdkVersion: '0.71.10-zero',
		source: 'repo'
	});
});
after(async () => {
	await rig?.stop();
	receiver?.closeAllConnections();
	receiver?.close();
});

test('the client and standardwebhooks accept the webhook of a new connection', async () => {
	const told = await webhook('the new connection', ({ type }) => type === 'auth');
	acceptedByAll(told);
	const body = JSON.parse(told.body);
	assert.deepEqual([body.from, body.operation, body.connectionId, body.success], ['nango', 'creation', 'ann', true]);
});

test('the client and standardwebhooks accept the webhook of an async action, whose id gives the result', async () => {
	const { job, told } = await runAsync('greet');
	acceptedByAll(told);
	const body = JSON.parse(told.body);
	assert.deepEqual(body, {
		connectionId: 'ann',
		from: 'nango',
		payload: { id: job.id, statusUrl: job.statusUrl },
		providerConfigKey: pck,
		success: true,
		type: 'async_action'
	});
	const expected = { text: 'Grüße 😀', list: [1, { b: 2, a: null }] };
	assert.deepEqual(await nango.getAsyncActionResult({ id: body.payload.id }), expected);
	assert.deepEqual(await nango.getAsyncActionResult({ statusUrl: body.payload.statusUrl }), expected);
});

test('the webhook of a failed async action says why, and its id gives the same error', async () => {
	const { told } = await runAsync('refuse');
	acceptedByAll(told);
	const body = JSON.parse(told.body);
	assert.equal(body.success, false);
	assert.equal(body.error.description, 'not today');
	await assert.rejects(nango.getAsyncActionResult({ id: body.payload.id }), (error) => {
		assert.equal(error.response.data.error.code, body.error.type);
		return true;
	});
});

test('the client and standardwebhooks accept the webhook of a sync, whose modifiedAfter finds its records', async () => {
	await nango.triggerSync(pck, ['contacts'], 'ann');
	const told = await webhook('the end of the run', ({ type }) => type === 'sync');
	acceptedByAll(told);
	const body = JSON.parse(told.body);
	assert.deepEqual([body.syncName, body.model, body.success], ['contacts', 'Contact', true]);
	assert.deepEqual(body.responseResults, { added: 2, updated: 0, deleted: 0 });
	const { records } = await nango.listRecords({ providerConfigKey: pck, connectionId: 'ann', model: body.model, modifiedAfter: body.modifiedAfter });
	assert.deepEqual(records.map(({ id }) => id).sort(), ['1', '2']);
});

test('a changed body is refused by all of them', async () => {
	const { told } = await runAsync('greet');
	refusedByAll({ ...told, body: told.body.replace('"success":true', '"success":false') });
});

test('another key is refused by all of them, and a client with an API key alone verifies nothing', async () => {
	const { told } = await runAsync('greet');
	const other = clientWith('11111111-2222-4333-8444-555555555555');
	assert.equal(other.verifyIncomingWebhookRequest(told.body, told.headers), false);
	assert.equal(other.verifyWebhookSignature(told.headers['x-nango-signature'], JSON.parse(told.body)), false);
	assert.throws(() => new Webhook(secretOf('11111111-2222-4333-8444-555555555555')).verify(told.body, told.headers), { message: 'No matching signature found' });
	assert.equal(clientWith(undefined).verifyIncomingWebhookRequest(told.body, told.headers), false);
});

test('standardwebhooks refuses another id, another time and a stale one', async () => {
	const { headers, body } = (await runAsync('greet')).told;
	const verify = (more) => new Webhook(secretOf(key)).verify(body, { ...headers, ...more });
	assert.throws(() => verify({ 'webhook-id': '01890000-0000-7000-8000-000000000000' }), { message: 'No matching signature found' });
	assert.throws(() => verify({ 'webhook-timestamp': String(Number(headers['webhook-timestamp']) - 1) }), { message: 'No matching signature found' });
	assert.throws(() => verify({ 'webhook-timestamp': String(Number(headers['webhook-timestamp']) - 301) }), { message: 'Message timestamp too old' });
});

test('the secret that operators are shown is the one that standardwebhooks takes', async () => {
	const shown = await operator('GET', '/signing-key');
	assert.equal(shown.standard_webhooks_secret, secretOf(key));
	assert.deepEqual([shown.rotated_at, shown.previous_until], [null, null]);
	const { told } = await runAsync('greet');
	assert.deepEqual(new Webhook(shown.standard_webhooks_secret).verify(told.body, told.headers), JSON.parse(told.body));
});

test('after a rotation standardwebhooks accepts both secrets, and the client the new key', async () => {
	const before = key;
	key = (await operator('POST', '/signing-key/rotate')).data.webhook_signing_key;
	assert.notEqual(key, before);
	const old = nango;
	nango = clientWith(key);
	const { told } = await runAsync('greet');
	acceptedByAll(told);
	assert.deepEqual(new Webhook(secretOf(before)).verify(told.body, told.headers), JSON.parse(told.body));
	assert.equal(old.verifyIncomingWebhookRequest(told.body, told.headers), false);
	assert.match(told.headers['webhook-signature'], /^v1,[A-Za-z0-9+/]{43}= v1,[A-Za-z0-9+/]{43}=$/);
	refusedByAll({ ...told, body: told.body.replace('"success":true', '"success":false') });
	const shown = await operator('GET', '/signing-key');
	assert.equal(new Date(shown.previous_until) - new Date(shown.rotated_at), 24 * 3600 * 1000);
});

test('rotated again over the public API, the key before the last one verifies nothing', async () => {
	const rotate = async () => (await request('POST', '/environment/webhook-signing-key/rotate')).data.webhook_signing_key;
	const [oldest, before] = [key, await rotate()];
	key = await rotate();
	nango = clientWith(key);
	const { told } = await runAsync('greet');
	acceptedByAll(told);
	assert.deepEqual(new Webhook(secretOf(before)).verify(told.body, told.headers), JSON.parse(told.body));
	assert.throws(() => new Webhook(secretOf(oldest)).verify(told.body, told.headers), { message: 'No matching signature found' });
});
