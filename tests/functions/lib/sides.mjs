// One run on both sides: the reference in its process, and the daemon.
import { errorOf, readLog, shortLog, sorted } from './compare.mjs';
import { withoutKeys } from './provider.mjs';

const SETTLE_MS = 15000;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

let keys = 0;
const newKey = (side) => `k${side}${String(++keys).padStart(5, '0')}`;

const fillIn = (value, origin, key) =>
	value === undefined ? undefined : JSON.parse(JSON.stringify(value).replaceAll('{{origin}}', origin).replaceAll('{{key}}', key));

const orderOf = (flow, scheme, connectionId) => ({ code: flow.fileBody.js, name: flow.syncName, type: flow.type, integration: flow.providerConfigKey, provider: scheme, connectionId, models: flow.models });

// What a sync's error comes down to on its way out: the code, and what the function itself said.
const syncError = ({ code, payload }) => ({ ofSync: true, code, ...(code === 'script_internal_error' ? { message: payload.message } : { payload: sorted(payload) }) });

// One call, or several on the same connection.
async function actionTraces({ rig, flow, scheme, run, open }) {
	const side = async (letter, ask) => {
		const { key, requests, fill } = await open(letter);
		const out = [];
		for (const input of run.calls ?? [run.input]) out.push(await ask(key, fill(input), requests));
		return run.calls ? out : out[0];
	};
	const a = !run.instead && side('a', async (key, input, requests) => {
		const answer = await rig.reference.run({ ...orderOf(flow, scheme, key), input, queued: run.queued });
		return { requests, logs: answer.logs.map(shortLog), ...(answer.error ? { error: answer.error } : { output: withoutKeys(answer.text) }) };
	});
	const b = side('b', async (key, input, requests) => {
		const before = rig.daemon.logsOf(key, flow.syncName).length;
		const answer = await rig.daemon.trigger(flow.syncName, flow.providerConfigKey, key, input, run.queued);
		const logs = rig.daemon.logsOf(key, flow.syncName).slice(before).map(readLog);
		return { requests, logs, ...(answer.status === 200 ? { output: withoutKeys(answer.text) } : { error: errorOf(answer) }) };
	});
	return run.instead ? [run.instead, await b] : Promise.all([a, b]);
}

// The steps of a sync: runs of it, and webhooks for it.
async function syncTraces({ rig, flow, scheme, run, open }) {
	const steps = run.steps ?? [{}];
	const name = flow.syncName;
	const a = async () => {
		const { key, provided, fill } = await open('a');
		const out = [];
		for (const step of steps) {
			const requests = provided.next(step.answers ?? run.answers);
			const order = orderOf(flow, scheme, key);
			const answer = await rig.reference.run({ ...order, ...(step.webhook ? { type: 'webhook', input: fill(step.webhook) } : { mode: step.mode }) });
			const state = step.webhook ? {} : { result: answer.result, status: answer.error ? 'STOPPED' : 'SUCCESS' };
			out.push({ requests, logs: answer.logs.map(shortLog), ...(answer.error && { error: syncError(answer.error) }), ...state, checkpoint: answer.checkpoint, records: answer.records });
		}
		return out;
	};
	const b = async (wanted) => {
		const { key, provided, fill } = await open('b');
		const out = [];
		for (const [at, step] of steps.entries()) {
			const requests = provided.next(step.answers ?? run.answers);
			const before = rig.daemon.logsOf(key, flow.syncName).length;
			const seen = async () => {
				const state = step.webhook ? await rig.daemon.syncState(name, flow.providerConfigKey, key) : ended;
				const error = await rig.daemon.errorOf(key, name);
				const records = {};
				for (const model of flow.models) records[model] = await rig.daemon.records(model, flow.providerConfigKey, key);
				const logs = rig.daemon.logsOf(key, flow.syncName).slice(before).map(readLog);
				return { requests, logs, ...(error && { error: syncError(error) }), ...(!step.webhook && { result: state.latestResult, status: state.latestExecutionStatus }), checkpoint: state.checkpoint ?? null, records };
			};
			let ended;
			if (!step.webhook) {
				ended = await rig.daemon.runSync(name, flow.providerConfigKey, key, step.mode);
				out.push(await seen());
				continue;
			}
			await rig.daemon.webhook(flow.providerConfigKey, fill(step.webhook));
			out.push(await settled(seen, wanted[at]));
		}
		return out;
	};
	const wanted = await a();
	return [wanted, await b(wanted)];
}

// Nobody says when a queued run has ended: it is waited for what it should leave, and not for longer than that.
async function settled(probe, wanted) {
	const end = Date.now() + SETTLE_MS;
	const text = withoutKeys(JSON.stringify(wanted));
	for (;;) {
		const now = await probe();
		if (withoutKeys(JSON.stringify(now)) === text || Date.now() > end) return now;
		await sleep(60);
	}
}

// A connection is made, lives and is deleted: the functions of its events run.
async function eventTraces({ rig, flow, scheme, run, open }) {
	const events = (name) => rig.events.filter((each) => each.integration === flow.providerConfigKey && each.event === name);
	const a = async () => {
		const { key, requests, fill } = await open('a', { connect: false });
		// The reference needs a connection that no function of ours looks at.
		await rig.daemon.connection('crm', 'private-api-bearer', key, fill(run.metadata));
		const own = async (name) => {
			const logs = [];
			for (const each of events(name)) {
				const answer = await rig.reference.run({ code: each.fileBody.js, name: each.name, type: 'on-event', integration: 'crm', provider: scheme, connectionId: key });
				logs.push(...answer.logs.map(shortLog));
				if (answer.error) return { logs, error: answer.error };
			}
			return { logs };
		};
		const out = { logs: [] };
		const first = await own('validate-connection');
		out.logs.push(...first.logs);
		if (first.error) return { requests, ...out, made: { status: 400, code: 'connection_validation_failed' } };
		out.logs.push(...(await own('post-connection-creation')).logs);
		out.metadata = await rig.daemon.metadata('crm', key);
		out.logs.push(...(await own('pre-connection-deletion')).logs);
		return { requests, ...out, made: { status: 201 } };
	};
	const wanted = await a();
	const b = async () => {
		const { key, requests, fill } = await open('b', { connect: false });
		const logs = () => ['validate-connection', 'post-connection-creation', 'pre-connection-deletion'].flatMap((event) => events(event).flatMap(({ name }) => rig.daemon.logsOf(key, name))).map(readLog);
		const made = await rig.daemon.connect(flow.providerConfigKey, scheme, key, fill(run.metadata));
		if (made.status !== 201) return { requests, logs: logs(), made: { status: made.status, code: JSON.parse(made.text).error?.code } };
		const metadata = await settled(() => rig.daemon.metadata(flow.providerConfigKey, key), wanted.metadata);
		await rig.daemon.disconnect(flow.providerConfigKey, key);
		return settled(() => ({ requests, logs: logs(), metadata, made: { status: 201 } }), wanted);
	};
	return [wanted, await b()];
}

const TRACES = { action: actionTraces, sync: syncTraces, 'on-event': eventTraces };

// { wanted, got }: the traces of the reference and of the daemon.
export async function bothSides({ rig, flow, scheme, run }) {
	const open = async (side, { connect = true } = {}) => {
		const key = newKey(side);
		const fill = (value) => fillIn(value, rig.provider.origin, key);
		if (connect) await rig.daemon.connection(flow.providerConfigKey, scheme, key, fill(run.metadata));
		const provided = rig.provider.open(key, run.answers);
		return { key, fill, provided, requests: provided.requests, input: fill(run.input) };
	};
	const [wanted, got] = await TRACES[flow.type]({ rig, flow, scheme, run, open });
	return { wanted, got };
}
