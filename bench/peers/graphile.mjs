// graphile-worker, and a row in Postgres for each result; a key is its queue name.
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import { CONCURRENCY, load, postgres, store } from './common.mjs';

const logger = new Logger(() => () => {});

export async function producer(servers) {
	const pool = postgres(servers, 16);
	const utils = await makeWorkerUtils({ pgPool: pool, logger });
	return {
		add: (key, id, input) => utils.addJob('noop', { id, input }, { queueName: key < 0 ? undefined : `key-${key}` }),
		read: (id) => load(pool, id),
	};
}

export async function worker(servers, tell) {
	const pool = postgres(servers, 26);
	const runner = await run({
		pgPool: pool,
		logger,
		concurrency: CONCURRENCY,
		noHandleSignals: true,
		taskList: {
			noop: async (payload, helpers) => {
				await helpers.withPgClient((client) => store(client, payload.id));
				tell.readable(payload.id);
			},
		},
	});
	runner.events.on('job:complete', () => tell.ended(1));
}
