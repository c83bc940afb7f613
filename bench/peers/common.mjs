// What the peers share: how much runs at once, the table of results and its two statements.
import pg from 'pg';

export const CONCURRENCY = 50; // jobs in work at once where no order is asked for
export const KEYS = 50; // most keys, one job of each at once
export const OUTPUT = JSON.stringify({ ok: 'y'.repeat(100 - 9) });

// Its servers end before it does: an idle connection that they close is no news.
export function postgres(servers, max) {
	const pool = new pg.Pool({ host: servers.postgres, user: 'sluice', database: 'sluice', max });
	pool.on('error', () => {});
	pool.on('connect', (client) => client.on('error', () => {}));
	return pool;
}

export const store = (client, id) =>
	client.query({ name: 'store', text: 'INSERT INTO result (id, output) VALUES ($1, $2)', values: [id, OUTPUT] });

export async function load(client, id) {
	const found = await client.query({ name: 'load', text: 'SELECT output FROM result WHERE id = $1', values: [id] });
	return found.rows[0]?.output;
}
