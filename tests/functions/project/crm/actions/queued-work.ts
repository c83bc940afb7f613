import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Some work for the queue',
	input: z.object({ ids: z.array(z.number()), text: z.string() }),
	output: z.object({ sum: z.number(), text: z.string(), done: z.any() }),
	exec: async (nango, { ids, text }) => {
		let sum = 0;
		for (const id of ids) sum += (await nango.get<{ v: number }>({ endpoint: '/one', params: { id } })).data.v * id;
		await nango.log(`summed ${sum}`, { level: 'warn' });
		const { data } = await nango.post<any>({ endpoint: '/done', data: { sum, text } });
		return { sum, text: text.repeat(2), done: data };
	}
});
