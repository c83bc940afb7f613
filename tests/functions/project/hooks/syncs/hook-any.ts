import { createSync } from 'nango';
import * as z from 'zod';

const Delivery = z.object({ id: z.string(), body: z.string(), headers: z.string() });

export default createSync({
	description: 'Takes every webhook as it comes',
	frequency: 'every day',
	autoStart: false,
	models: { Delivery },
	webhookSubscriptions: ['*'],
	exec: async () => {},
	onWebhook: async (nango, payload: any) => {
		const known = await nango.getRecordsByIds(['count'], 'Delivery');
		const count = Number(known.get('count')?.body ?? 0) + 1;
		await nango.batchSave([{ id: 'count', body: String(count), headers: typeof payload }, { id: `n${count}`, body: JSON.stringify(payload.data ?? null), headers: Object.keys(payload).sort().join() }], 'Delivery');
	}
});
