// The published node client asks providers through /proxy, and gets credentials that are good to use; all unmodified.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { Nango } from '@nangohq/node';

import { startRig } from './rig.mjs';

const LARGE = 100 << 20;
let rig, nango, provider;
const seen = [];
const counts = {};
const token = { calls: [], refuse: false };

// Answers by path; remembers what came.
async function startProvider() {
	const server = createServer((request, response) => {
		const chunks = [];
		const url = new URL(request.url, 'http://x');
		const path = url.pathname.slice('/api'.length);
		counts[path] = (counts[path] ?? 0) + 1;
		const send = (status, body, headers = {}) => {
			response.writeHead(status, { 'content-type': 'application/json', ...headers });
			response.end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
		};
		request.on('data', (chunk) => chunks.push(chunk));
		request.on('end', () => {
			const body = Buffer.concat(chunks);
			seen.push({ method: request.method, url: request.url, headers: request.headers, body });
			if (url.pathname === '/token') {
				token.calls.push(new URLSearchParams(body.toString()));
				if (token.refuse) send(400, { error: 'invalid_grant' });
				else send(200, { access_token: `token-${token.calls.length}`, refresh_token: `r-${token.calls.length}`, expires_in: 3600 });
			} else if (path === '/teapot') send(418, '{"short":  "and stout"}', { 'x-provider': 'me' });
			else if (path.startsWith('/flaky')) {
				const status = Number(url.searchParams.get('status'));
				send(counts[path] === 1 ? status : 200, { n: counts[path] }, counts[path] === 1 ? { 'retry-after': '0' } : {});
			} else if (path === '/bytes') send(200, Buffer.from([0, 255, 128, 10]), { 'content-type': 'application/octet-stream' });
			else if (path === '/gzip') send(200, gzipSync('packed'), { 'content-encoding': 'gzip', 'content-type': 'text/plain' });
			else if (path === '/pour') {
				response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': LARGE });
				const block = Buffer.alloc(1 << 20, 'x');
				const pour = (left) => {
					while (left > 0) {
						left -= block.length;
						if (!response.write(block)) return response.once('drain', () => pour(left));
					}
					response.end();
				};
				pour(LARGE);
			} else send(200, { method: request.method, url: request.url, authorization: request.headers.authorization ?? null });
		});
	});
	await new Promise((done) => server.listen(0, '127.0.0.1', done));
	return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.closeAllConnections() ?? server.close() };
}

const inMinutes = (minutes) => new Date(Date.now() + minutes * 60000).toISOString();

before(async () => {
	provider = await startProvider();
	rig = await startRig();
	nango = new Nango({ secretKey: rig.keys.NANGO_SECRET_KEY_DEV, host: rig.host });
	await nango.createIntegration({
		provider: 'private-api-oauth2', unique_key: 'api',
		credentials: { type: 'OAUTH2', client_id: 'id', client_secret: 'secret' },
		integration_config: { baseUrl: `${provider.url}/api`, tokenUrl: `${provider.url}/token`, authorizationUrl: provider.url }
	});
	await connect('c');
});
after(async () => {
	await rig?.stop();
	provider?.stop();
});

async function connect(connection_id, minutes = 60) {
	const answer = await fetch(`${rig.host}/connections`, {
		method: 'POST',
		headers: { authorization: `Bearer ${rig.keys.NANGO_SECRET_KEY_DEV}`, 'content-type': 'application/json' },
		body: JSON.stringify({
			provider_config_key: 'api', connection_id,
			credentials: { type: 'OAUTH2', access_token: `first-${connection_id}`, refresh_token: 'r-0', expires_at: inMinutes(minutes) }
		})
	});
	assert.equal(answer.status, 201, await answer.text());
}

const asked = (more) => ({ providerConfigKey: 'api', connectionId: 'c', ...more });

async function failure(promise) {
	try {
		await promise;
	} catch (error) {
		assert.ok(error.response, `no answer: ${error}`);
		return error.response;
	}
	assert.fail('the call succeeded');
}

test('each method takes the connection to the provider', async () => {
	for (const method of ['get', 'post', 'put', 'patch', 'delete']) {
		const answer = await nango[method](asked({ endpoint: `/m/${method}`, data: method === 'get' ? undefined : { a: [1, 'ü'] } }));
		assert.equal(answer.status, 200);
		assert.deepEqual(answer.data, { method: method.toUpperCase(), url: `/api/m/${method}`, authorization: 'Bearer first-c' });
		if (method !== 'get') assert.deepEqual(JSON.parse(seen.at(-1).body), { a: [1, 'ü'] });
	}
	const answer = await nango.proxy(asked({ method: 'POST', endpoint: 'p', headers: { 'X-Mine': '1' }, data: 'a=1&b=%20' }));
	assert.equal(answer.data.url, '/api/p');
	assert.equal(seen.at(-1).headers['x-mine'], '1');
	assert.equal(seen.at(-1).body.toString(), 'a=1&b=%20');
});

test('a body of any kind arrives as the client made it', async () => {
	const post = async (data, headers) => {
		await nango.post(asked({ endpoint: '/kinds', data, headers }));
		return seen.at(-1);
	};
	const bytes = Buffer.from([0, 255, 128, 13, 10, 0]);
	const raw = await post(bytes, { 'Content-Type': 'application/octet-stream' });
	assert.deepEqual(raw.body, bytes);
	assert.equal(raw.headers['content-type'], 'application/octet-stream');
	const fields = await post(new URLSearchParams({ a: 'x y', b: '&=ü' }));
	assert.equal(fields.body.toString(), 'a=x+y&b=%26%3D%C3%BC');
	assert.match(fields.headers['content-type'], /^application\/x-www-form-urlencoded/);
	const form = new FormData();
	form.append('note', 'Grüße');
	form.append('file', new Blob([bytes]), 'a.bin');
	const sent = await post(form);
	const got = await new Response(sent.body, { headers: { 'content-type': sent.headers['content-type'] } }).formData();
	assert.equal(got.get('note'), 'Grüße');
	assert.equal(got.get('file').name, 'a.bin');
	assert.deepEqual(Buffer.from(await got.get('file').arrayBuffer()), bytes);
});

test('parameters arrive as an object and as a text', async () => {
	assert.equal((await nango.get(asked({ endpoint: '/q', params: { a: 'x y', b: '2' } }))).data.url, '/api/q?a=x+y&b=2');
	assert.equal((await nango.get(asked({ endpoint: '/q', params: 'a=%2F&b=2' }))).data.url, '/api/q?a=%2F&b=2');
	assert.equal((await nango.get(asked({ endpoint: '/a%2Fb' }))).data.url, '/api/a%2Fb');
});

test('bytes come as they are, as an array, packed, and as a stream of a hundred megabytes', async () => {
	const bytes = await nango.get(asked({ endpoint: '/bytes', responseType: 'arraybuffer' }));
	assert.deepEqual([...new Uint8Array(bytes.data)], [0, 255, 128, 10]);
	assert.equal((await nango.get(asked({ endpoint: '/gzip', decompress: true }))).data, 'packed');
	const { data } = await nango.get(asked({ endpoint: '/pour', responseType: 'stream' }));
	let length = 0;
	for await (const chunk of data) length += chunk.length;
	assert.equal(length, LARGE);
});

test('another try is made for 429, 500 and what is asked for', async () => {
	for (const [path, more] of [['/flaky1?status=429', {}], ['/flaky2?status=500', {}], ['/flaky3?status=409', { retryOn: [409] }]])
		assert.deepEqual((await nango.get(asked({ endpoint: path, retries: 2, ...more }))).data, { n: 2 });
	assert.equal((await failure(nango.get(asked({ endpoint: '/flaky4?status=500' })))).status, 500);
});

test('what the provider refuses comes as it said it, and what cannot be reached says so', async () => {
	const teapot = await failure(nango.get(asked({ endpoint: '/teapot', responseType: 'text' })));
	assert.equal(teapot.status, 418);
	assert.equal(teapot.headers['x-provider'], 'me');
	const dead = await failure(nango.get(asked({ endpoint: '/x', baseUrlOverride: 'http://127.0.0.1:9' })));
	assert.equal(dead.status, 500);
	assert.equal(dead.data.code, 'ECONNREFUSED');
	assert.equal(dead.data.method, 'get');
	assert.equal((await nango.get(asked({ endpoint: '/y', baseUrlOverride: `${provider.url}/api/other` }))).data.url, '/api/other/y');
	assert.equal((await failure(nango.get({ endpoint: '/x', providerConfigKey: 'nope', connectionId: 'c' }))).status, 404);
});

test('a token that ends soon is refreshed for the proxy and for getConnection, and on demand', async () => {
	await connect('soon', 5);
	const answer = await nango.get({ endpoint: '/x', providerConfigKey: 'api', connectionId: 'soon' });
	assert.equal(answer.data.authorization, `Bearer token-${token.calls.length}`);
	const before = token.calls.length;
	const connection = await nango.getConnection('api', 'soon', false, true);
	assert.equal(connection.credentials.access_token, `token-${before}`);
	assert.equal(connection.credentials.refresh_token, `r-${before}`);
	assert.equal(token.calls.at(-1).get('grant_type'), 'refresh_token');
	assert.equal(token.calls.length, before);
	assert.equal((await nango.getConnection('api', 'soon', true)).credentials.access_token, `token-${before + 1}`);
	assert.equal(await nango.getToken('api', 'soon'), `token-${before + 1}`);
});

test('credentials that cannot be refreshed are 424, with the connection and its errors', async () => {
	await connect('dead', -5);
	token.refuse = true;
	try {
		const refused = await failure(nango.getConnection('api', 'dead'));
		assert.equal(refused.status, 424);
		assert.equal(refused.data.error.code, 'invalid_credentials');
		assert.equal(refused.data.error.payload.connection_id, 'dead');
		assert.deepEqual(refused.data.error.payload.credentials, {});
		assert.equal((await failure(nango.get({ endpoint: '/x', providerConfigKey: 'api', connectionId: 'dead' }))).status, 424);
		assert.equal((await failure(nango.getToken('api', 'dead'))).data.error.code, 'connection_refresh_backoff');
		const { connections } = await nango.listConnections({ connectionId: 'dead' });
		assert.equal(connections[0].errors[0].type, 'auth');
	} finally {
		token.refuse = false;
	}
	assert.equal((await nango.getConnection('api', 'dead', true)).errors.length, 0);
});
