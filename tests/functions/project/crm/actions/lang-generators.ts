import { createAction } from 'nango';
import * as z from 'zod';

function* ids(from: number): Generator<number, void, any> {
	let next = from;
	while (true) {
		const reset: boolean = yield next++;
		if (reset) next = from;
	}
}
async function* pages(nango: any, log: string[]) {
	try {
		for (let page = 1; ; page++) {
			const { data } = await nango.get({ endpoint: '/pages', params: { page } });
			if (data.length === 0) return 'end';
			yield* data;
		}
	} finally {
		log.push('closed');
	}
}

export default createAction({
	description: 'Generators, async generators, iteration protocols',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const log: string[] = [];
		const it = ids(5);
		const taken = [it.next().value, it.next().value, it.next(true).value, it.return(9 as any)];
		const all: number[] = [];
		for await (const n of pages(nango, log)) all.push(n);
		const some: number[] = [];
		for await (const n of pages(nango, log)) {
			some.push(n);
			if (some.length === 1) break;
		}
		const custom = {
			*[Symbol.iterator]() {
				yield* [1, 2];
				return 3;
			}
		};
		const sync: number[] = [];
		for await (const n of [Promise.resolve(1), 2]) sync.push(n);
		try {
			for (const n of ids(1)) if (n > 3) throw new Error(`stopped at ${n}`);
		} catch (error) {
			log.push((error as Error).message);
		}
		const [first, , third = 'default', ...others] = custom;
		return { taken, all, some, sync, log, destructured: [first, third, others], max: Math.max(...custom) };
	}
});
