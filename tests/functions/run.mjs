#!/usr/bin/env node
// tests/functions/run.mjs - every function of project/ in Node on the published SDK and in the runner, against
// the same scripted provider; what both asked, logged, stored and answered must be the same, byte for byte.
// Then functions made from a seed: what their bodies return.
//
// usage: run.mjs [--show] [--seed S] [--count N] [NAME-PART]...   (default: all; with a NAME-PART nothing is
// made unless --count says so; --only-made leaves out project/)
// A case may say differs (why the two sides are not the same: must differ), which does not count as passed, or
// refused (what the deploy says when it takes it).
// --show prints both traces.  The build under test is $RIG_BUILD (default: build-check or build).
import { fork } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { DeployError, readProject } from '../../compiler/lib/project.mjs';
import { generate } from './generated/index.mjs';
import { comparable, difference } from './lib/compare.mjs';
import { startDaemon } from './lib/daemon.mjs';
import { differences } from './lib/made.mjs';
import { startProvider } from './lib/provider.mjs';
import { bothSides } from './lib/sides.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const PARALLEL = 4;
const DEPLOY_AT_ONCE = 25;
const INTEGRATIONS = {
	...{ crm: 'private-api-bearer', basic: 'private-api-basic', github: 'github', hubspot: 'hubspot' },
	...{ shop: 'private-api-bearer', hooks: 'unauthenticated', events: 'private-api-bearer', made: 'private-api-bearer' },
	...{ sales: 'private-api-bearer', desk: 'private-api-bearer', drive: 'private-api-bearer', people: 'private-api-bearer', books: 'private-api-bearer', store: 'private-api-bearer', growth: 'private-api-bearer', devtools: 'private-api-bearer' },
};
const FOLDERS = { actions: 'action', syncs: 'sync', 'on-events': 'on-event' };

const { values: options, positionals: words } = parseArgs({
	allowPositionals: true,
	options: { show: { type: 'boolean' }, 'only-made': { type: 'boolean' }, seed: { type: 'string', default: '1' }, count: { type: 'string' } },
});
const count = Number(options.count ?? (words.length > 0 ? 0 : 200));

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
			if (FOLDERS[folder] === undefined) continue;
			for (const file of readdirSync(join(here, 'project', integration, folder)).sort()) {
				found.push({ integration, folder, name: file.replace(/\.ts$/, '') });
			}
		}
	}
	return found;
}

// The deploy request of these functions, and of the made ones.
async function compile(list, made) {
	const folder = mkdtempSync(join(tmpdir(), 'sluice-functions-'));
	try {
		cpSync(join(here, 'project'), folder, { recursive: true });
		mkdirSync(join(folder, 'made', 'actions'), { recursive: true });
		for (const { name, text } of made) writeFileSync(join(folder, 'made', 'actions', `${name}.ts`), text);
		const all = [...list, ...made.map(({ name }) => ({ integration: 'made', folder: 'actions', name }))];
		writeFileSync(join(folder, 'index.ts'), all.map(({ integration, folder: kind, name }) => `import './${integration}/${kind}/${name}.js';`).join('\n'));
		return await readProject(folder);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

// Syncs run when the case says so, not on their own.  What is refused, by name: why.
async function deployAll(daemon, body) {
	const flows = body.flowConfigs.map((flow) => (flow.type === 'sync' ? { ...flow, auto_start: false } : flow));
	const refused = new Map();
	const deploy = (flowConfigs, onEventScriptsByProvider = []) => daemon.deploy({ ...body, flowConfigs, onEventScriptsByProvider, reconcile: false, deployMode: 'single' });
	if (body.onEventScriptsByProvider.length > 0) await deploy([], body.onEventScriptsByProvider);
	for (let from = 0; from < flows.length; from += DEPLOY_AT_ONCE) {
		const some = flows.slice(from, from + DEPLOY_AT_ONCE);
		try {
			await deploy(some);
		} catch {
			for (const flow of some) await deploy([flow]).catch((error) => refused.set(flow.syncName, error.message));
		}
	}
	return refused;
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
	const ended = { logs: [], error: { code: 'the process of the reference ended' } };
	child.on('exit', () => waiting.forEach((done) => done(ended)));
	child.on('error', () => {}); // told by exit
	child.send({ server });
	return {
		run: (order) =>
			new Promise((done) => {
				waiting.set(++last, done);
				if (child.connected) child.send({ id: last, order });
				else done(ended);
			}),
		stop: () => child.disconnect(),
	};
}

async function inParallel(list, worker) {
	const left = list.slice();
	await Promise.all(
		Array.from({ length: PARALLEL }, async () => {
			for (let each = left.shift(); each !== undefined; each = left.shift()) await worker(each);
		})
	);
}

class Report {
	counts = { agree: 0, differ: 0, known: 0, made: 0 };
	functions = new Set();
	#differing = new Map();
	#number = 0;
	#laps = [];
	#at = Date.now();

	lap(what) {
		this.#laps.push(`${what} ${((Date.now() - this.#at) / 1000).toFixed(1)} s`);
		this.#at = Date.now();
	}

	say(ok, what) {
		console.log(`${ok ? 'ok' : 'not ok'} ${++this.#number} - ${what}`);
		if (!ok) this.counts.differ++;
	}

	run(entry, name, what, { wanted, got }) {
		const agrees = wanted === got;
		if (entry.differs) this.#differing.set(name, this.#differing.get(name) || !agrees);
		else {
			this.functions.add(name);
			if (agrees) this.counts.agree++;
			this.say(agrees, what);
		}
		if (!agrees && (options.show || !entry.differs)) console.log(difference(wanted, got));
		if (options.show) console.log(`# node\n${wanted}\n# runner\n${got}`);
	}

	// A deploy was refused, or should have been.
	refused(entry, name, message) {
		this.say(entry.refused !== undefined && message?.includes(entry.refused) === true, `${name}: ${entry.claim}, refused by the deploy`);
		if (message) console.log(`# ${name}: ${message}`);
	}

	end(cases) {
		for (const [name, differs] of this.#differing) {
			if (differs) console.log(`# differs ${name}: ${cases[name].differs}`);
			else this.say(false, `${name}: agrees now; take its mark away`);
			if (differs) this.counts.known++;
		}
	}

	sum() {
		const { agree, differ, known, made } = this.counts;
		console.log(`# ${this.#laps.join(', ')}`);
		console.log(`1..${this.#number}`);
		console.log(`# ${this.functions.size} functions, ${agree} runs agree, ${differ} differ; ${known} functions differ as written; ${made} made bodies agree`);
		process.exitCode = differ > 0 ? 1 : 0;
	}
}

async function runCase({ rig, flows, report }, { name, entry, run, label }) {
	const what = `${name}: ${entry.claim}${label && ` (${label})`}`;
	const flow = flows.get(name);
	let outcome;
	try {
		const { wanted, got } = await bothSides({ rig, flow, scheme: INTEGRATIONS[flow.providerConfigKey], run });
		outcome = { wanted: comparable(wanted, run), got: comparable(got, run) };
	} catch (error) {
		outcome = { wanted: 'no error of the harness', got: error.stack };
	}
	report.run(entry, name, what, outcome);
}

async function runMade({ rig, flows, report }, { name, bodies }) {
	const list = await differences(rig, flows.get(name), INTEGRATIONS.made, bodies);
	report.counts.made += bodies.length - list.length;
	report.say(list.length === 0, `${name}: what ${bodies.length} made bodies return`);
	for (const { at, wanted, got } of list) console.log(`# ${name} body ${at}: ${bodies[at]}\n#   node:   ${wanted}\n#   runner: ${got}`);
}

// The functions by name; those on events of an integration stand under the first one's name.
function flowsOf(body, chosen) {
	const flows = new Map(body.flowConfigs.map((flow) => [flow.syncName, flow]));
	for (const { folder, name, integration } of chosen) if (folder === 'on-events') flows.set(name, { syncName: name, providerConfigKey: integration, type: 'on-event' });
	return flows;
}

async function main() {
	const cases = await readCases();
	const chosen = options['only-made'] ? [] : sources().filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
	const without = chosen.filter(({ name }) => !cases[name]).map(({ name }) => name);
	if (without.length > 0) throw new Error(`no case runs ${without.join(', ')}`);
	const made = generate(Number(options.seed), count);
	const report = new Report();
	const called = chosen.flatMap(({ name }) => cases[name].calls ?? []);
	const all = [...chosen, ...sources().filter((each) => called.includes(each.name) && !chosen.some(({ name }) => name === each.name))];
	const body = await compile(all, made);
	const flows = flowsOf(body, chosen);
	const events = body.onEventScriptsByProvider.flatMap(({ providerConfigKey, scripts }) => scripts.map((script) => ({ ...script, integration: providerConfigKey })));
	report.lap('compile');

	const rig = { provider: await startProvider(), daemon: null, reference: null, events };
	try {
		rig.daemon = await startDaemon();
		report.lap('start');
		const base = `${rig.provider.origin}/api`;
		for (const [name, scheme] of Object.entries(INTEGRATIONS)) await rig.daemon.integration(name, scheme, base);
		const refused = await deployAll(rig.daemon, body);
		report.lap('deploy');
		rig.reference = startReference({ host: rig.daemon.host, secret: rig.daemon.secret, base });
		const list = chosen.flatMap(({ name }) => {
			const entry = cases[name];
			if (entry.refused || refused.has(name)) report.refused(entry, name, refused.get(name));
			if (refused.has(name)) return [];
			return entry.runs.map((run, at) => ({ name, entry, run, label: run.label ?? (entry.runs.length > 1 ? `${at + 1}` : '') }));
		});
		await inParallel(list, (each) => runCase({ rig, flows, report }, each));
		report.end(cases);
		report.lap('runs');
		if (made.length > 0) await rig.daemon.connection('made', INTEGRATIONS.made, 'made');
		for (const { name } of made) if (refused.has(name)) report.say(false, `${name}: ${refused.get(name)}`);
		await inParallel(made.filter(({ name }) => !refused.has(name)), (each) => runMade({ rig, flows, report }, each));
		report.lap('made');
	} finally {
		rig.reference?.stop();
		rig.provider.stop();
		await rig.daemon?.stop();
	}
	report.lap('stop');
	report.sum();
}

try {
	await main();
} catch (error) {
	if (!(error instanceof DeployError)) throw error;
	console.log(`not ok 1 - the functions compile\n${error.message}`);
	process.exitCode = 1;
}
process.exit(); // the rig's own timers would hold us
