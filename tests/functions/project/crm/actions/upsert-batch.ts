import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Writes in chunks, some of which fail',
	input: z.object({ rows: z.array(z.object({ sku: z.string(), qty: z.number() })) }),
	output: z.any(),
	exec: async (nango, { rows }) => {
		const unique = [...new Map(rows.map((row) => [row.sku.toUpperCase(), row])).values()];
		const failed: { sku: string; reason: string }[] = [];
		let written = 0;
		for (let from = 0; from < unique.length; from += 2) {
			const chunk = unique.slice(from, from + 2);
			try {
				const response = await nango.put({ endpoint: '/stock/batch', data: { items: chunk }, headers: { 'Idempotency-Key': chunk.map(({ sku }) => sku).join('-') } });
				written += response.data.written ?? chunk.length;
			} catch (error: any) {
				const { status, data } = error.response ?? {};
				chunk.forEach(({ sku }, i) => failed.push({ sku, reason: data?.errors?.[i]?.message ?? `HTTP ${status}` }));
				await nango.log(`chunk at ${from} failed`, { level: 'error' });
			}
		}
		return { written, failed, total: unique.reduce((sum, { qty }) => sum + qty, 0) };
	}
});
