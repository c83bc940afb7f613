#!/usr/bin/env node
// tests/functions/run.mjs - every function of project/ in Node on the published SDK and in the runner, against
// the same scripted provider; what both asked, logged and answered must be the same, byte for byte.
//
// usage: run.mjs [--show] [NAME-PART]...   (default: all)
// Cases may say needs (what the daemon does not serve yet: skipped) or differs (why the two sides are not the
// same: must differ); neither counts as passed.  Syncs are deployed and then skipped.
// --show prints both traces.  The build under test is $RIG_BUILD (default: build-check or build).
import { fork } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { readProject } from '../../compiler/lib/project.mjs';
import { startDaemon } from './lib/daemon.mjs';
import { startProvider, withoutKeys } from './lib/provider.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const PARALLEL = 4;
const LOG_BYTES = 400; // the daemon's own log cuts texts
const DEPLOY_AT_ONCE = 25;
const INTEGRATIONS = { crm: 'private-api-bearer', basic: 'private-api-basic', github: 'github', hubspot: 'hubspot' };

const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const show = process.argv.includes('--show');

async function readCases() {
	const all = {};
	for (const file of readdirSync(join(here, 'cases')).sort()) {
		const { default: cases } = await import(join(here, 'cases', file));
		for (const [name, each] of Object.entries(cases)) {
			if (all[name]) throw new Error(`cases/${file}: ${name} has cases already`);
			all[name] = each;
		}
	}
	return all;
}

function sources() {
	const found = [];
	for (const integration of readdirSync(join(here, 'project')).sort()) {
		if (INTEGRATIONS[integration] === undefined) continue;
		for (const folder of readdirSync(join(here, 'project', integration)).sort()) {
			if (!['actions', 'syncs', 'on-events'].includes(folder)) continue;
			for (const file of readdirSync(join(here, 'project', integration, folder)).sort()) {
				found.push({ integration, folder, name: file.replace(/\.ts$/, '') });
			}
		}
	}
	return found;
}

// The deploy request of these functions.
async function compile(list) {
	const folder = mkdtempSync(join(tmpdir(), 'sluice-functions-'));
	try {
		cpSync(join(here, 'project'), folder, { recursive: true });
		const lines = list.map(({ integration, folder: kind, name }) => `import './${integration}/${kind}/${name}.js';`);
		writeFileSync(join(folder, 'index.ts'), lines.join('\n'));
		return await readProject(folder);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

async function deployAll(daemon, body) {
	for (let from = 0; from < body.flowConfigs.length; from += DEPLOY_AT_ONCE) {
		await daemon.deploy({ ...body, flowConfigs: body.flowConfigs.slice(from, from + DEPLOY_AT_ONCE), reconcile: false, deployMode: 'single' });
	}
}

function startReference(server) {
	const child = fork(join(here, 'lib', 'reference.mjs'), [], {
		env: { ...process.env, TZ: 'UTC', LC_ALL: 'en_US.UTF-8' },
		execArgv: [...process.execArgv, '--disallow-code-generation-from-strings'],
		serialization: 'advanced',
	});
	const waiting = new Map();
	let last = 0;
	child.on('message', ({ id, ...answer }) => {
		waiting.get(id)(answer);
		waiting.delete(id);
	});
	child.on('exit', () => waiting.forEach((done) => done({ logs: [], error: { code: 'the process of the reference ended' } })));
	child.send({ server });
	return {
		run: (order) =>
			new Promise((done) => {
				waiting.set(++last, done);
				child.send({ id: last, order });
			}),
		stop: () => child.disconnect(),
	};
}

const UNESCAPE = { n: '\n', '"': '"', '\\': '\\' };
function readLog(line) {
	const [, level] = /level=(\w+)/.exec(line);
	const [, message] = /message="(.*)"$/.exec(line);
	const plain = message.replace(/\\(x[0-9a-f]{2}|.)/g, (whole, c) => (c[0] === 'x' && c.length === 3 ? String.fromCharCode(parseInt(c.slice(1), 16)) : (UNESCAPE[c] ?? whole)));
	return { level, message: withoutKeys(plain).slice(0, LOG_BYTES / 4) };
}

// Only what the wire promises of an error; texts that are ours to choose are left out.
function errorOf(answer) {
	const { error } = JSON.parse(answer.text);
	if (!error) return { status: answer.status, text: answer.text };
	const out = { status: answer.status, code: error.code, payload: error.payload };
	if (error.upstream) out.upstream = error.upstream;
	if (error.code === 'script_network_error') out.payload = { code: error.payload.code, name: error.payload.name };
	if (error.code === 'script_internal_error') {
		const { message, name, stacktrace } = error.payload;
		out.payload = { message, name, head: stacktrace?.[0], frames: stacktrace?.slice(1) ?? [] };
		if (stacktrace?.length === 0) delete out.payload.head;
	}
	return out;
}

const lineOf = (frame) => /([\w-]+\.cjs):(\d+)/.exec(frame)?.slice(1, 3).join(':') ?? frame;

function sorted(value) {
	if (Array.isArray(value)) return value.map(sorted);
	if (value === null || typeof value !== 'object') return value;
	return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

function comparable(trace, run) {
	const out = { ...trace };
	if (out.error) {
		out.error = sorted(out.error);
		if (run.freeMessage && out.error.payload) delete out.error.payload.frames;
		if (out.error.payload?.frames) {
			const frames = out.error.payload.frames.map(lineOf);
			out.error.payload.frames = run.frames === false ? frames.length > 0 : frames[0];
		}
		// The message of ours that says which limit or shape was hurt.
		if (run.freeMessage && out.error.payload?.message) {
			delete out.error.payload.message;
			delete out.error.payload.head;
		}
	}
	if (run.unordered) out.requests = out.requests.map((each) => JSON.stringify(each)).sort();
	return JSON.stringify(out, null, 1);
}

const fillIn = (value, origin, key) =>
	value === undefined ? undefined : JSON.parse(JSON.stringify(value).replaceAll('{{origin}}', origin).replaceAll('{{key}}', key));

let keys = 0;
const newKey = (side) => `k${side}${String(++keys).padStart(5, '0')}`;

async function bothSides({ rig, flow, run }) {
	const { provider, daemon, reference } = rig;
	const scheme = INTEGRATIONS[flow.providerConfigKey];
	const side = async (letter, perform) => {
		const key = newKey(letter);
		await daemon.connection(flow.providerConfigKey, scheme, key, run.metadata);
		const requests = provider.open(key, run.answers);
		const ended = await perform(key, fillIn(run.input, provider.origin, key));
		return { requests, ...ended };
	};
	const [a, b] = await Promise.all([
		side('a', async (key, input) => {
			const answer = await reference.run({
				...{ code: flow.fileBody.js, name: flow.syncName, type: flow.type },
				...{ integration: flow.providerConfigKey, provider: scheme, connectionId: key, input },
			});
			const logs = answer.logs.map((entry) => ({ level: entry.level, message: withoutKeys(entry.message).slice(0, LOG_BYTES / 4) }));
			const result = answer.error ? { error: answer.error } : { output: withoutKeys(answer.text) };
			return { logs, ...result };
		}),
		side('b', async (key, input) => {
			const answer = await daemon.trigger(flow.syncName, flow.providerConfigKey, key, input);
			const logs = daemon.logsOf(key).map(readLog);
			const result = answer.status === 200 ? { output: withoutKeys(answer.text) } : { error: errorOf(answer) };
			return { logs, ...result };
		}),
	]);
	const [wanted, got] = [comparable(a, run), comparable(b, run)].map(withoutKeys);
	return { wanted, got };
}

// The lines that differ, with what is around them.
function difference(wanted, got) {
	const left = wanted.split('\n');
	const right = got.split('\n');
	const out = [];
	for (let i = 0; i < Math.max(left.length, right.length) && out.length < 24; i++) {
		if (left[i] === right[i]) continue;
		if (left[i] !== undefined) out.push(`#   node:   ${left[i].slice(0, 1500)}`);
		if (right[i] !== undefined) out.push(`#   runner: ${right[i].slice(0, 1500)}`);
	}
	return out.join('\n');
}

async function inParallel(list, worker) {
	const left = list.slice();
	await Promise.all(
		Array.from({ length: PARALLEL }, async () => {
			for (let each = left.shift(); each !== undefined; each = left.shift()) await worker(each);
		})
	);
}

async function main() {
	const cases = await readCases();
	const chosen = sources().filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
	const without = chosen.filter(({ name }) => !cases[name]).map(({ name }) => name);
	if (without.length > 0) throw new Error(`no case runs ${without.join(', ')}`);
	const body = await compile(chosen); // those that cannot run yet must at least deploy
	const flows = new Map(body.flowConfigs.map((flow) => [flow.syncName, flow]));

	const rig = { provider: await startProvider(), daemon: null, reference: null };
	const counts = { agree: 0, differ: 0, known: 0, skipped: 0 };
	const differing = new Map();
	const functions = new Set();
	let number = 0;
	const say = (ok, what, more = '') => console.log(`${ok ? 'ok' : 'not ok'} ${++number} - ${what}${more}`);
	const laps = [];
	let at = Date.now();
	const lap = (what) => {
		laps.push(`${what} ${((Date.now() - at) / 1000).toFixed(1)} s`);
		at = Date.now();
	};
	try {
		rig.daemon = await startDaemon();
		lap('start');
		const base = `${rig.provider.origin}/api`;
		for (const [name, scheme] of Object.entries(INTEGRATIONS)) await rig.daemon.integration(name, scheme, base);
		await deployAll(rig.daemon, body);
		lap('deploy');
		rig.reference = startReference({ host: rig.daemon.host, secret: rig.daemon.secret, base });
		const list = [];
		for (const { name } of chosen) {
			const entry = cases[name];
			if (entry.needs) {
				counts.skipped++;
				console.log(`# skipped ${name} (${entry.claim}): needs ${entry.needs}`);
			} else entry.runs.forEach((run, at) => list.push({ name, entry, run, label: run.label ?? (entry.runs.length > 1 ? `${at + 1}` : '') }));
		}
		await inParallel(list, async ({ name, entry, run, label }) => {
			const what = `${name}: ${entry.claim}${label && ` (${label})`}`;
			let outcome;
			try {
				outcome = await bothSides({ rig, flow: flows.get(name), run });
			} catch (error) {
				outcome = { wanted: 'no error of the harness', got: error.stack };
			}
			const { wanted, got } = outcome;
			const agrees = wanted === got;
			if (entry.differs) differing.set(name, differing.get(name) || !agrees);
			else {
				functions.add(name);
				counts[agrees ? 'agree' : 'differ']++;
				say(agrees, what);
			}
			if (!agrees && (show || !entry.differs)) console.log(difference(wanted, got));
			if (show) console.log(`# node\n${wanted}\n# runner\n${got}`);
		});
		lap('runs');
		for (const [name, differs] of differing) {
			if (differs) console.log(`# differs ${name}: ${cases[name].differs}`);
			else say(false, `${name}: agrees now; take its mark away`);
			counts[differs ? 'known' : 'differ']++;
		}
	} finally {
		rig.reference?.stop();
		rig.provider.stop();
		await rig.daemon?.stop();
	}
	lap('stop');
	console.log(`# ${laps.join(', ')}`);
	console.log(`1..${number}`);
	console.log(`# ${functions.size} functions, ${counts.agree} runs agree, ${counts.differ} differ; ${counts.known} functions differ as written, ${counts.skipped} functions skipped`);
	process.exitCode = counts.differ > 0 ? 1 : 0;
}

await main();
process.exit(); // the rig's own timers would hold us
