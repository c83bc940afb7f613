import { createSync } from 'nango';
import * as z from 'zod';

const Deal = z.object({ id: z.string(), amount: z.number() });

export default createSync({
	description: 'Deals since the checkpoint',
	frequency: 'every 5 minutes',
	syncType: 'incremental',
	models: { Deal },
	checkpoint: z.object({ since: z.string() }),
	exec: async (nango) => {
		const checkpoint = await nango.getCheckpoint();
		const { data } = await nango.get<any[]>({ endpoint: '/deals', params: { since: checkpoint?.since ?? '1970-01-01T00:00:00.000Z' } });
		await nango.batchSave(data.filter((deal) => !deal.gone).map(({ id, amount }) => ({ id, amount })), 'Deal');
		await nango.batchDelete(data.filter((deal) => deal.gone).map(({ id }) => ({ id })), 'Deal');
		const last = data.map((deal) => deal.at).sort().at(-1);
		if (last) await nango.saveCheckpoint({ since: last });
	}
});
