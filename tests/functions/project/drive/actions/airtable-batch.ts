import { createAction } from 'nango';
import { z } from 'zod';

const chunk = <T>(list: readonly T[], size: number): T[][] => Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));

export default createAction({
	description: 'Create rows ten at a time',
	version: '1.0.0',
	input: z.object({ base: z.string(), table: z.string(), rows: z.array(z.record(z.string(), z.unknown())), typecast: z.boolean().optional() }),
	output: z.object({ ids: z.array(z.string()), batches: z.number(), errors: z.array(z.object({ batch: z.number(), message: z.string(), rows: z.number() })) }),
	exec: async (nango, { base, table, rows, typecast }) => {
		const ids: string[] = [];
		const errors: { batch: number; message: string; rows: number }[] = [];
		const batches = chunk(rows, 10);
		for (const [index, batch] of batches.entries()) {
			try {
				const response = await nango.post<{ records: { id: string; createdTime: string }[] }>({ endpoint: `/v0/${base}/${encodeURIComponent(table)}`, data: { records: batch.map((fields) => ({ fields })), typecast } });
				ids.push(...response.data.records.map((record) => record.id));
			} catch (error: any) {
				errors.push({ batch: index, message: error?.response?.data?.error?.message ?? error?.response?.data?.error ?? error.message, rows: batch.length });
			}
		}
		return { ids, batches: batches.length, errors };
	}
});
