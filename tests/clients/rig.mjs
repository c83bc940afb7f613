// tests/clients/rig.mjs - a standalone sluiced and a small provider for the tests of published clients.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, chmodSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Calls probe until it answers something true, and answers that; fails after ms.
export async function waitFor(what, probe, ms = 30000) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await probe();
		if (value) return value;
		if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
		await sleep(50);
	}
}

function freePort() {
	return new Promise((done, failed) => {
		const server = createTcpServer();
		server.on('error', failed);
		server.listen(0, '127.0.0.1', () => {
			const { port } = server.address();
			server.close(() => done(port));
		});
	});
}

// The environment of a child without settings that a developer may have.
export function cleanEnvironment(extra = {}) {
	const kept = Object.entries(process.env).filter(([name]) => !/^(SLUICE|NANGO|RIG|NODE_TEST)_/.test(name));
	return { ...Object.fromEntries(kept), ...extra };
}

// GET /contacts/ID answers a contact, /contacts/teapot a 418; every call is remembered.
async function startProvider() {
	const calls = [];
	const server = createServer((request, response) => {
		request.resume();
		calls.push({ method: request.method, url: request.url, headers: request.headers });
		const id = /^\/contacts\/(\w+)$/.exec(request.url ?? '')?.[1];
		const [status, body] =
			request.headers.authorization !== 'Bearer clients-api-key'
				? [401, { message: 'bad key' }]
				: id === 'teapot'
					? [418, { message: 'short and stout' }]
					: id
						? [200, { id, name: `Name of ${id}` }]
						: [404, { message: 'nothing here' }];
		response.writeHead(status, { 'content-type': 'application/json' });
		response.end(JSON.stringify(body));
	});
	await new Promise((done) => server.listen(0, '127.0.0.1', done));
	return { calls, url: `http://127.0.0.1:${server.address().port}`, stop: () => server.closeAllConnections() ?? server.close() };
}

function buildFolder() {
	const folders = process.env.RIG_BUILD ? [process.env.RIG_BUILD] : [join(root, 'build-check'), join(root, 'build')];
	const found = folders.find((folder) => existsSync(join(folder, 'sluiced')));
	if (!found) throw new Error('sluiced is not built: make it in build/, or set RIG_BUILD');
	return found;
}

export async function startRig({ options = [] } = {}) {
	const folder = mkdtempSync('/tmp/sluice-clients-'); // short: unix sockets live below it
	chmodSync(folder, 0o711);
	const port = await freePort();
	const log = join(folder, 'sluiced.log');
	const provider = await startProvider();
	const descriptor = openSync(log, 'a');
	const daemon = spawn(
		join(buildFolder(), 'sluiced'),
		['--standalone', join(folder, 'data'), '--listen', `127.0.0.1:${port}`, '--egress-allow=127.0.0.0/8', ...options],
		{ stdio: ['ignore', descriptor, descriptor], env: cleanEnvironment(), detached: true }
	);
	const ended = new Promise((done) => daemon.on('exit', (code) => done(code ?? 'signal')));
	let code;
	ended.then((value) => (code = value));

	async function stop() {
		provider.stop();
		daemon.kill('SIGTERM');
		const late = setTimeout(() => daemon.kill('SIGKILL'), 40000);
		await ended;
		clearTimeout(late); // else it keeps the test's process for as long
		rmSync(folder, { recursive: true, force: true });
	}
	const host = `http://127.0.0.1:${port}`;
	const ready = async () => {
		if (code !== undefined) throw new Error(`sluiced ended with ${code}:\n${readFileSync(log, 'utf8').slice(-3000)}`);
		const answers = await new Promise((done) => {
			const socket = connect(port, '127.0.0.1', () => done(socket.destroy() && true));
			socket.on('error', () => done(false));
		});
		return answers && (await fetch(`${host}/ready`)).status === 200;
	};
	try {
		await waitFor('sluiced is ready', ready, 60000);
	} catch (error) {
		await stop();
		throw error;
	}
	const keys = Object.fromEntries(
		readFileSync(join(folder, 'data', 'keys.env'), 'utf8')
			.split('\n')
			.map((line) => /^(?:export )?(\w+)=["']?(.*?)["']?$/.exec(line))
			.filter(Boolean)
			.map((match) => [match[1], match[2]])
	);
	return { folder, host, keys, provider, log: () => readFileSync(log, 'utf8'), stop };
}
