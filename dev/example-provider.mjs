// dev/example-provider.mjs - the small CRM that dev/quickstart runs its example against.
//
// usage: node dev/example-provider.mjs PORT-FILE [PORT]
// The API key it demands comes in the environment as EXAMPLE_API_KEY.  Listens on loopback only,
// on PORT or a free one, and writes the port to PORT-FILE once it serves.  The very first request
// with a good key is answered 429 with Retry-After: 1, as a busy provider would.
import { createHash, timingSafeEqual } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [portFile, port = '0'] = process.argv.slice(2);
const apiKey = process.env.EXAMPLE_API_KEY ?? '';
if (!portFile || apiKey === '') {
	console.error('usage: EXAMPLE_API_KEY=... node example-provider.mjs PORT-FILE [PORT]');
	process.exit(64);
}

const digest = (text) => createHash('sha256').update(text).digest();
const wanted = digest(`Bearer ${apiKey}`);
const CONTACTS = 50;
const names = ['Ada Byron', 'Grace Murray', 'Edsger van Rotterdam', 'Barbara Huberman'];
let limited = false;

function answer(response, status, body, headers = {}) {
	const text = JSON.stringify(body);
	response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers });
	response.end(text);
}

function contact(id) {
	const number = Number(id);
	const name = names[number % names.length];
	return { id, name, email: `${name.split(' ')[0].toLowerCase()}${id}@example.org`, company: 'Example GmbH', city: 'Zürich' };
}

function deals(id) {
	const number = Number(id);
	return [
		{ id: `${id}-1`, title: 'Yearly licence', amount: 1200 + number, currency: 'EUR', stage: 'won' },
		{ id: `${id}-2`, title: 'Onboarding', amount: 300, currency: 'EUR', stage: 'open' }
	];
}

// { contacts, next }: next is the cursor of the page behind, or null.
function page(query) {
	const from = Number(query.get('cursor') ?? 0);
	const limit = Number(query.get('limit') ?? 10);
	if (!Number.isInteger(from) || from < 0 || !Number.isInteger(limit) || limit < 1 || limit > 50) {
		return undefined;
	}
	const ids = Array.from({ length: CONTACTS }, (_, index) => String(index + 1)).slice(from, from + limit);
	return { contacts: ids.map(contact), next: from + limit < CONTACTS ? String(from + limit) : null };
}

function serve(request, response) {
	request.resume();
	const log = (status) => console.log(`${new Date().toISOString()} ${request.method} ${request.url} ${status}`);
	const end = (status, body, headers) => {
		log(status);
		answer(response, status, body, headers);
	};

	if (!timingSafeEqual(digest(request.headers.authorization ?? ''), wanted)) {
		return end(401, { message: 'a valid API key is needed' }, { 'www-authenticate': 'Bearer' });
	}
	if (!limited) {
		limited = true;
		return end(429, { message: 'slow down' }, { 'retry-after': '1' });
	}
	const url = new URL(request.url, 'http://localhost');
	if (url.pathname === '/contacts' && request.method === 'GET') {
		const found = page(url.searchParams);
		return found ? end(200, found) : end(400, { message: 'cursor is one that was given, limit is 1 to 50' });
	}
	const match = /^\/contacts\/(\d{1,9})(\/deals)?$/.exec(url.pathname);
	if (!match) {
		return end(404, { message: 'no such resource' });
	}
	if (request.method !== 'GET') {
		return end(405, { message: 'read only' }, { allow: 'GET' });
	}
	return match[2] ? end(200, { deals: deals(match[1]) }) : end(200, contact(match[1]));
}

const server = createServer(serve);
server.on('error', (error) => {
	console.error(`example provider: ${error.message}`);
	process.exit(1);
});
server.listen(Number(port), '127.0.0.1', () => {
	writeFileSync(`${portFile}.new`, `${server.address().port}\n`);
	renameSync(`${portFile}.new`, portFile);
});
for (const signal of ['SIGTERM', 'SIGINT']) {
	process.on(signal, () => process.exit(0));
}
