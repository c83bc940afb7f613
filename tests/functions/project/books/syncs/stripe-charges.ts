import { createSync } from 'nango';
import { z } from 'zod';

const Charge = z.object({ id: z.string(), amount: z.string(), status: z.string(), created: z.string(), refunded_share: z.number() });
const ZERO_DECIMAL = ['jpy', 'krw'];

export default createSync({
	description: 'Charges by starting_after, newest first',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	checkpoint: z.object({ created: z.number() }),
	models: { Charge },
	exec: async (nango) => {
		const since = (await nango.getCheckpoint())?.created ?? 0;
		let starting_after: string | undefined;
		let newest = since;
		let has_more = true;
		while (has_more) {
			const { data }: { data: any } = await nango.get({ endpoint: '/v1/charges', params: { limit: 100, 'created[gt]': since, ...(starting_after ? { starting_after } : {}), 'expand[]': 'data.customer' }, retries: 3 });
			await nango.batchSave(
				data.data.map((c: any) => {
					newest = Math.max(newest, c.created);
					return { id: c.id, amount: `${ZERO_DECIMAL.includes(c.currency) ? c.amount : (c.amount / 100).toFixed(2)} ${c.currency.toUpperCase()}`, status: c.status, created: new Date(c.created * 1000).toISOString(), refunded_share: c.amount ? Number(((c.amount_refunded ?? 0) / c.amount).toPrecision(3)) : 0 };
				}),
				'Charge'
			);
			starting_after = data.data[data.data.length - 1]?.id;
			has_more = data.has_more && starting_after !== undefined;
		}
		await nango.saveCheckpoint({ created: newest });
	}
});
