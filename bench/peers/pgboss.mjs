// pg-boss, which stores a result itself as the job's output; a key is a singletonKey of a strict FIFO queue.
import { setTimeout as sleep } from 'node:timers/promises';
import { PgBoss } from 'pg-boss';
import { OUTPUT, postgres } from './common.mjs';

const output = JSON.parse(OUTPUT);

async function boss(servers) {
	const made = new PgBoss({ host: servers.postgres, user: 'sluice', database: 'sluice', max: 16, useListenNotify: true,
		schedule: false });
	made.on('error', (error) => { throw error; });
	await made.start();
	return made;
}

const ended = { name: 'ended', text: "SELECT count(*)::int AS count FROM pgboss.job WHERE id = ANY ($1) AND state = 'completed'" };

export async function producer(servers) {
	const queue = await boss(servers);
	const pool = postgres(servers, 16);
	return {
		add: (key, id, input) => key < 0
			? queue.send('any', input, { id }) : queue.send('keyed', input, { id, singletonKey: `key-${key}` }),
		read: async (id) => (await pool.query({
			name: 'load', text: "SELECT output FROM pgboss.job WHERE id = $1 AND state = 'completed'", values: [id] })).rows[0]?.output,
	};
}

export async function worker(servers, tell) {
	const queue = await boss(servers);
	const pool = postgres(servers, 2);
	await queue.createQueue('any', { notify: true });
	await queue.createQueue('keyed', { notify: true, policy: 'key_strict_fifo' });
	// The worker settles a batch after its handler; only then do its results count.
	const settled = async (ids) => {
		while ((await pool.query({ ...ended, values: [ids] })).rows[0].count < ids.length) await sleep(1);
		ids.forEach(tell.readable);
		tell.ended(ids.length);
	};
	const run = async (jobs) => {
		settled(jobs.map((job) => job.id));
		return jobs.map((job) => ({ id: job.id, status: 'completed', output }));
	};
	const options = { perJobResults: true, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5 };
	await queue.work('any', { ...options, batchSize: 25, localConcurrency: 2 }, run);
	await queue.work('keyed', { ...options, batchSize: 25, localConcurrency: 2 }, run);
}
