import { createSync } from 'nango';
import * as z from 'zod';

const Detail = z.object({ id: z.string(), size: z.number(), parts: z.array(z.string()) });

export default createSync({
	description: 'Fifty details at a time',
	frequency: 'every hour',
	autoStart: false,
	models: { Detail },
	exec: async (nango) => {
		const { data: ids } = await nango.get<number[]>({ endpoint: '/ids' });
		const chunks: number[][] = [];
		for (let i = 0; i < ids.length; i += 50) chunks.push(ids.slice(i, i + 50));
		for (const chunk of chunks) {
			const results = await Promise.allSettled(chunk.map(async (id) => (await nango.get<any>({ endpoint: `/detail`, params: { id } })).data));
			const found = results.flatMap((result, i) => (result.status === 'fulfilled' ? [{ id: `d${chunk[i]}`, size: result.value.size, parts: Object.keys(result.value) }] : []));
			await nango.batchSave(found, 'Detail');
		}
	}
});
