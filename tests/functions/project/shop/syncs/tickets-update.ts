import { createSync } from 'nango';
import * as z from 'zod';

const Ticket = z.object({ id: z.string(), status: z.string(), tags: z.array(z.string()).optional() });

export default createSync({
	description: 'Reads records back and updates them; takes webhooks',
	frequency: 'every day',
	models: { Ticket },
	webhookSubscriptions: ['*'],
	exec: async (nango) => {
		await nango.setMergingStrategy({ strategy: 'ignore_if_modified_after' }, 'Ticket');
		const known = await nango.getRecordsByIds(['1', '2'], 'Ticket');
		await nango.batchUpdate([...known.values()].map((ticket) => ({ id: ticket.id, status: 'seen' })), 'Ticket');
		for await (const ticket of nango.listRecords('Ticket')) await nango.log(ticket.id, { level: 'warn' });
	},
	onWebhook: async (nango, payload) => {
		await nango.batchSave([payload], 'Ticket');
	}
});
