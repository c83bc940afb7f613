// beanstalkd, with its log synced at each write, and a row in Postgres for each result.  It has no keys: a key
// is a tube that one connection reserves from.  The client is the few commands of its protocol that this needs.
import net from 'node:net';
import { CONCURRENCY, KEYS, load, postgres, store } from './common.mjs';

// Commands go out as they come and are answered in that order.
async function connect(port) {
	const socket = net.connect(port, '127.0.0.1').setNoDelay(true);
	const waiting = [];
	let bytes = Buffer.alloc(0);
	await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
	socket.on('data', (more) => {
		bytes = bytes.length === 0 ? more : Buffer.concat([bytes, more]);
		for (let end = bytes.indexOf('\r\n'); end >= 0; end = bytes.indexOf('\r\n')) {
			const words = bytes.toString('latin1', 0, end).split(' ');
			const body = words[0] === 'RESERVED' ? Number(words[2]) + 2 : 0;
			if (bytes.length < end + 2 + body) return;
			waiting.shift()(body ? { words, body: bytes.toString('utf8', end + 2, end + body) } : { words });
			bytes = bytes.subarray(end + 2 + body);
		}
	});
	return async (expected, command) => {
		const answer = await new Promise((resolve) => {
			waiting.push(resolve);
			socket.write(command);
		});
		if (answer.words[0] !== expected) throw new Error(`beanstalkd: ${answer.words.join(' ')}`);
		return answer;
	};
}

const tubeOf = (key) => (key < 0 ? 'any' : `key-${key}`);

export async function producer(servers) {
	const pool = postgres(servers, 16);
	const tubes = new Map();
	const tube = (key) => {
		if (!tubes.has(key))
			tubes.set(key, connect(servers.beanstalk).then(async (send) => {
				await send('USING', `use ${tubeOf(key)}\r\n`);
				return send;
			}));
		return tubes.get(key);
	};
	return {
		add: async (key, id, input) => {
			const body = JSON.stringify({ id, input });
			await (await tube(key))('INSERTED', `put 0 0 60 ${Buffer.byteLength(body)}\r\n${body}\r\n`);
		},
		read: (id) => load(pool, id),
	};
}

export async function worker(servers, tell) {
	const pool = postgres(servers, 16);
	const serve = async (key) => {
		const send = await connect(servers.beanstalk);
		await send('WATCHING', `watch ${tubeOf(key)}\r\n`);
		await send('WATCHING', 'ignore default\r\n');
		const loop = async () => {
			for (;;) {
				const job = await send('RESERVED', 'reserve\r\n');
				const { id } = JSON.parse(job.body);
				await store(pool, id);
				tell.readable(id);
				await send('DELETED', `delete ${job.words[1]}\r\n`);
				tell.ended(1);
			}
		};
		loop().catch((error) => { console.error(error); process.exit(1); });
	};
	for (let i = 0; i < CONCURRENCY; i++) await serve(-1);
	for (let key = 0; key < KEYS; key++) await serve(key);
}
