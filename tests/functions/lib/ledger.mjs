// How the newest run of a function ended, from the ledger: the wire says of a sync only that it failed.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SUCCEEDED = '1';

function psql() {
	const root = '/usr/lib/postgresql';
	const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
	return versions.map((version) => join(root, version, 'bin', 'psql')).find((path) => existsSync(path)) ?? 'psql';
}

// directory: of the standalone service.
export function openLedger(directory) {
	const near = join(directory, 'run');
	const host = existsSync(near) ? near : `/tmp/sluice-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`;
	const [port] = readdirSync(host).flatMap((name) => /^\.s\.PGSQL\.(\d+)$/.exec(name)?.[1] ?? []);
	const env = { ...process.env, PGPASSWORD: readFileSync(join(directory, 'secrets', 'postgres'), 'utf8').trim() };
	const program = psql();

	// The error of the newest run, or null.
	return async function errorOf(connection, name) {
		const query = `SELECT r.state || ' ' || coalesce(convert_from(r.output, 'UTF8'), '')
			FROM job j JOIN result r ON r.job_id = j.id JOIN connection c ON c.id = j.connection_id
			JOIN function_version v ON v.id = j.function_version_id JOIN function f ON f.id = v.function_id
			WHERE c.connection_id = '${connection}' AND f.name = '${name}' ORDER BY j.seq DESC LIMIT 1`;
		const { stdout } = await run(program, ['-h', host, '-p', port, '-U', 'sluice', '-d', 'postgres', '-Atqc', query], { env });
		const [, state, output] = /^(\d+) ?(.*)$/s.exec(stdout.trim()) ?? [];
		return state === undefined || state === SUCCEEDED ? null : JSON.parse(output);
	};
}
