// One peer, as bench/queue drives it: a producer, which is this process, and a worker, which is its child.
//
// usage: node peer.mjs NAME SERVERS     SERVERS is JSON: {"postgres": DIRECTORY, "redis": PATH, "beanstalk": PORT}
// Requests and answers are lines of JSON.  {"run": N, "keys": K} has N jobs accepted, 64 at a time, and answers
// when the last has ended; K is 0 where no order is asked for.  {"read": true} reads every result of that run.
// {"lone": N} has N jobs, one at a time.  {"large": L, "small": S, "keys": K}, where the peer can wait: L jobs of key 0,
// then S of each other key, and no work before all are accepted; answers how many had ended when the last of the
// small keys had, over S x K.  A job is accepted when its queue says that it is durable; its result
// can be read when its row is committed.
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import readline from 'node:readline';

const CLIENTS = 64;
const INPUT = { a: 'x'.repeat(300 - 8) };
const [name, servers, role] = process.argv.slice(2);
const peer = await import(`./${name}.mjs`);

// Calls work(0) ... work(count - 1), CLIENTS at a time.
async function each(count, work) {
	let next = 0;
	const client = async () => {
		while (next < count) await work(next++);
	};
	await Promise.all(Array.from({ length: Math.min(CLIENTS, count) }, client));
}

async function serveWorker() {
	let left = 0;
	let one = false;
	let skew = null;
	process.on('disconnect', () => process.exit(0)); // the producer is gone
	process.on('message', (message) => {
		left = message.expect;
		one = message.one;
		skew = message.small ? { ...message, small_left: message.small, ended: 0 } : null;
		if ('pause' in message) work.pause(message.pause).then(() => process.send({ set: true }));
		else process.send({ set: true });
	});
	const count_skew = (key) => {
		skew.began ??= performance.now();
		skew.ended++;
		if (key > 0 && --skew.small_left === 0)
			Object.assign(skew, { by_then: skew.ended, seconds: (performance.now() - skew.began) / 1000 });
		if (skew.ended === skew.expect)
			process.send({ skewed: { by_then: skew.by_then, seconds: skew.seconds, all: (performance.now() - skew.began) / 1000 } });
	};
	// ended: the queue is rid of the job; before that, as soon as the result can be read, readable.
	const work = await peer.worker(JSON.parse(servers), {
		readable: (id) => one && process.send({ readable: id }),
		ended: (count, key) => {
			if (skew) return count_skew(key);
			left -= count;
			if (left === 0 && !one) process.send({ drained: true });
		},
	});
	process.send({ started: true });
}

async function serveProducer() {
	const worker = fork(new URL(import.meta.url), [name, servers, 'worker'], { stdio: ['ignore', 2, 2, 'ipc'] });
	const waiting = new Map();
	const until = (what) => new Promise((resolve) => waiting.set(what, resolve));
	worker.on('message', (message) => {
		const [what, value] = Object.entries(message)[0];
		const key = what === 'readable' ? value : what;
		waiting.get(key)?.(what === 'skewed' ? value : performance.now());
		waiting.delete(key);
	});
	worker.on('exit', () => process.exit(1));
	process.on('exit', () => worker.kill());
	for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(name, () => process.exit(143));
	await until('started');
	const producer = await peer.producer(JSON.parse(servers));
	let ids = [];
	const tell = async (message) => {
		const set = until('set');
		worker.send(message);
		await set;
	};
	const expect = (count, one) => tell({ expect: count, one });
	const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
	answer({ worker: worker.pid });
	for await (const line of readline.createInterface({ input: process.stdin })) {
		const asked = JSON.parse(line);
		const began = performance.now();
		if (asked.run) {
			ids = Array.from({ length: asked.run }, () => randomUUID());
			await expect(asked.run, false);
			const drained = until('drained');
			await each(asked.run, (i) => producer.add(asked.keys ? i % asked.keys : -1, ids[i], INPUT));
			const accepted = performance.now();
			const ended = await drained;
			answer({ accepted_seconds: (accepted - began) / 1000, seconds: (ended - began) / 1000 });
		} else if (asked.read) {
			await each(ids.length, async (i) => {
				if (!(await producer.read(ids[i]))) throw new Error(`no result of ${ids[i]}`);
			});
			answer({ read_seconds: (performance.now() - began) / 1000 });
		} else if (asked.large) {
			const small = asked.small * (asked.keys - 1);
			const message = { expect: asked.large + small, one: false, small };
			await tell({ ...message, pause: true });
			const skewed = until('skewed');
			await each(asked.large, () => producer.add(0, randomUUID(), INPUT));
			await each(small, (i) => producer.add(1 + (i % (asked.keys - 1)), randomUUID(), INPUT));
			await tell({ ...message, pause: false });
			const { by_then, seconds, all } = await skewed;
			answer({ ratio: by_then / (asked.small * asked.keys), seconds, all });
		} else {
			await expect(asked.lone, true);
			const took = [];
			for (let i = 0; i < asked.lone; i++) {
				const id = randomUUID();
				const at = performance.now();
				const readable = until(id);
				await producer.add(-1, id, INPUT);
				await readable;
				if (!(await producer.read(id))) throw new Error(`no result of ${id}`);
				took.push(performance.now() - at);
			}
			answer({ took_ms: took });
		}
	}
	worker.removeAllListeners('exit');
	worker.kill();
	process.exit(0);
}

await (role === 'worker' ? serveWorker() : serveProducer());
