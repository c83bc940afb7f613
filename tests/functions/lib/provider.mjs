// The scripted provider: recorded answers per run, and what each run asked for.
//
// A run is known by its key: the bearer token of its connection, the user name of its basic credentials, or
// the first folder of a path (/~key/...) where no credentials are sent.
import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';

const KEY = /k[ab]\d{5}/;
// Set by the transport, not by functions.
const UNCOMPARED = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'accept-encoding', 'user-agent', 'expect', 'keep-alive']);
// What fetch of Node adds by itself.
const OF_FETCH = new Set(['accept-language', 'sec-fetch-mode']);

export const withoutKeys = (text) => text.replace(/k[ab]\d{5}/g, 'KEY');

function keyOf(request) {
	const given = request.headers.authorization ?? '';
	const basic = /^Basic (.*)$/.exec(given);
	const all = [basic ? Buffer.from(basic[1], 'base64').toString() : given, request.headers['x-run'] ?? '', request.url];
	for (const text of all) {
		const found = KEY.exec(text);
		if (found) return found[0];
	}
	return 'unknown';
}

function read(request) {
	return new Promise((done, failed) => {
		const chunks = [];
		request.on('data', (chunk) => chunks.push(chunk));
		request.on('end', () => done(Buffer.concat(chunks)));
		request.on('error', failed);
	});
}

function describe(request, body) {
	const [path, query] = request.url.split(/\?(.*)/s);
	const headers = {};
	for (const name of Object.keys(request.headers).sort()) {
		if (UNCOMPARED.has(name) || OF_FETCH.has(name)) continue;
		const value = String(request.headers[name]);
		const basic = /^Basic (.*)$/.exec(value);
		headers[name] = withoutKeys(basic ? `Basic(${Buffer.from(basic[1], 'base64')})` : value);
	}
	// The boundary of a form is random.
	const boundary = /boundary=(-+[\w-]{12,})/.exec(request.headers['content-type'] ?? '')?.[1];
	const text = boundary ? body.toString('utf8').replaceAll(boundary, 'BOUNDARY') : body.toString('utf8');
	if (boundary) headers['content-type'] = headers['content-type'].replace(boundary, 'BOUNDARY');
	const shown = (boundary || Buffer.from(text).equals(body)) ? withoutKeys(text) : `base64:${body.toString('base64')}`;
	return { method: request.method, path: withoutKeys(path), query: withoutKeys(query ?? ''), headers, body: shown };
}

function bytesOf(answer) {
	if (answer.base64 !== undefined) return Buffer.from(answer.base64, 'base64');
	if (answer.text !== undefined) return Buffer.from(answer.text);
	if (answer.json !== undefined) return Buffer.from(JSON.stringify(answer.json));
	return Buffer.alloc(0);
}

export async function startProvider() {
	const runs = new Map();
	let origin;
	const fill = (text) => text.replaceAll('{{origin}}', origin);
	const server = createServer(async (request, response) => {
		const body = await read(request);
		const run = runs.get(keyOf(request));
		const seen = describe(request, body);
		if (!run) {
			response.writeHead(599).end('no such run');
			return;
		}
		run.requests.push(seen);
		const path = seen.path.replace(/^\/(api|~KEY)(?=\/|$)/, '') || '/';
		const list = run.answers[`${seen.method} ${path}`] ?? run.answers[`* ${path}`];
		const at = run.used[`${seen.method} ${path}`] ?? 0;
		run.used[`${seen.method} ${path}`] = at + 1;
		if (!list) {
			response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"no answer is recorded"}');
			return;
		}
		const answer = list[Math.min(at, list.length - 1)];
		if (answer.hangUp) {
			request.socket.destroy();
			return;
		}
		const headers = { ...(answer.json !== undefined && { 'content-type': 'application/json' }), ...answer.headers };
		for (const name of Object.keys(headers)) headers[name] = typeof headers[name] === 'string' ? fill(headers[name]) : headers[name];
		let bytes = bytesOf(answer);
		if (answer.base64 === undefined) bytes = Buffer.from(fill(bytes.toString()));
		if (answer.gzip) {
			bytes = gzipSync(bytes);
			headers['content-encoding'] = 'gzip';
		}
		response.writeHead(answer.status ?? 200, answer.statusText, headers);
		response.end(bytes);
	});
	await new Promise((done) => server.listen(0, '127.0.0.1', done));
	origin = `http://127.0.0.1:${server.address().port}`;
	return {
		origin,
		// Answers by "METHOD /path", used in order, the last one again and again.
		open(key, answers) {
			const run = { answers: answers ?? {}, used: {}, requests: [] };
			runs.set(key, run);
			return {
				requests: run.requests,
				// Another step of the same run: its own answers and requests.
				next(more) {
					Object.assign(run, { answers: more ?? {}, used: {}, requests: [] });
					return run.requests;
				},
			};
		},
		stop() {
			server.closeAllConnections();
			server.close();
		},
	};
}
