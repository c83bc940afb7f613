import { createSync } from 'nango';
import { z } from 'zod';

const Campaign = z.object({ id: z.string(), title: z.string(), sent: z.string().nullable(), opens: z.number(), rate: z.string() });
const LIMIT = 2;

export default createSync({
	description: 'Campaigns by offset until total_items',
	version: '1.0.0',
	frequency: 'every 12h',
	autoStart: true,
	checkpoint: z.object({ offset: z.number(), done: z.boolean() }),
	models: { Campaign },
	exec: async (nango) => {
		const checkpoint = await nango.getCheckpoint();
		let offset = checkpoint && !checkpoint.done ? checkpoint.offset : 0;
		if (offset === 0) await nango.trackDeletesStart('Campaign');
		for (let total = Infinity; offset < total; ) {
			const { data } = await nango.get<any>({ endpoint: '/3.0/campaigns', params: { count: LIMIT, offset, fields: ['campaigns.id', 'total_items'].join() } });
			total = data.total_items;
			await nango.batchSave(data.campaigns.map((c: any) => ({ id: c.id, title: c.settings?.title || '(untitled)', sent: c.send_time || null, opens: c.report_summary?.opens ?? 0, rate: `${((c.report_summary?.open_rate ?? 0) * 100).toFixed(1)} %` })), 'Campaign');
			offset += LIMIT;
			await nango.saveCheckpoint({ offset, done: false });
		}
		await nango.trackDeletesEnd('Campaign');
		await nango.saveCheckpoint({ offset: 0, done: true });
	}
});
