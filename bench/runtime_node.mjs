// runtime_node.mjs DIR - the work of bench/functions/work.ts in this Node: microseconds of CPU of each, the
// best of five, one JSON object.  With `wait`: loads a module as a worker would, says so, and waits.
import { join } from 'node:path';

const [dir, mode, cases] = process.argv.slice(2);
const load = async (name) => (await import(join(dir, `${name}.mjs`))).default;

const cpu = () => {
	const { user, system } = process.cpuUsage();
	return user + system;
};

if (mode === 'wait') {
	await load('schemas');
	console.log('loaded');
	setInterval(() => {}, 1000);
} else {
	const work = await load('work');
	const out = {};
	for (const [name, input] of Object.entries(JSON.parse(cases))) {
		let best = Infinity;
		for (let i = 0; i < 5; i++) {
			const base = cpu();
			await work.exec({}, { ...input, times: 0 });
			const began = cpu();
			await work.exec({}, input);
			best = Math.min(best, cpu() - began - (began - base));
		}
		out[name] = Math.max(best, 0) / input.times;
	}
	console.log(JSON.stringify(out));
}
