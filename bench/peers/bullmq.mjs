// BullMQ, and a row in Postgres for each result.  It has no keys: a key is a queue with a worker of concurrency 1.
import { Queue, Worker } from 'bullmq';
import { CONCURRENCY, KEYS, load, postgres, store } from './common.mjs';

const names = ['any', ...Array.from({ length: KEYS }, (_, i) => `key-${i}`)];
const connection = (servers) => ({ path: servers.redis, maxRetriesPerRequest: null });

export async function producer(servers) {
	const pool = postgres(servers, 16);
	const { Redis } = await import('ioredis');
	const shared = new Redis(connection(servers));
	const queues = names.map((name) => new Queue(name, { connection: shared, defaultJobOptions: { removeOnComplete: true } }));
	return {
		add: (key, id, input) => queues[key + 1].add('noop', input, { jobId: id }),
		read: (id) => load(pool, id),
	};
}

export async function worker(servers, tell) {
	const pool = postgres(servers, 16);
	const run = async (job) => {
		await store(pool, job.id);
		tell.readable(job.id);
	};
	const workers = names.map((name, i) =>
		new Worker(name, run, { connection: connection(servers), concurrency: i === 0 ? CONCURRENCY : 1 }));
	workers.forEach((each, i) => {
		each.on('completed', () => tell.ended(1, i - 1));
		each.on('failed', (_, error) => { throw error; });
	});
	await Promise.all(workers.map((each) => each.waitUntilReady()));
	return { pause: (on) => Promise.all(workers.map((each) => (on ? each.pause() : each.resume()))) };
}
