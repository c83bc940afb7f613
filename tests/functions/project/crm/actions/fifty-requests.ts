import { createAction } from 'nango';
import * as z from 'zod';

import { chunk } from '../lib/http.js';

export default createAction({
	description: 'Fifty requests at once, ten at a time, and one that fails',
	input: z.object({ count: z.number() }),
	output: z.any(),
	exec: async (nango, { count }) => {
		const ids = Array.from({ length: count }, (_, i) => i + 1);
		const all = await Promise.all(ids.map(async (id) => (await nango.get<any>({ endpoint: '/item', params: { id } })).data.value));
		const slow: number[] = [];
		for (const part of chunk(ids, 10)) slow.push(...(await Promise.all(part.map(async (id) => (await nango.get<any>({ endpoint: `/even/${id % 2}` })).status))));
		const settled = await Promise.allSettled([nango.get({ endpoint: '/even/0' }), nango.get({ endpoint: '/none' }), Promise.reject(new Error('own'))]);
		const first = await Promise.race([nango.get<any>({ endpoint: '/even/0' }).then(({ status }) => status), new Promise((done) => setTimeout(() => done('slow'), 5000))]);
		return { sum: all.reduce((a, b) => a + b, 0), slow: slow.length, settled: settled.map((s) => (s.status === 'fulfilled' ? s.value.status : s.reason.response?.status ?? s.reason.message)), first };
	}
});
