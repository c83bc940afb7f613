import { createSync } from 'nango';
import * as z from 'zod';

const Ticket = z.object({ id: z.string(), status: z.string(), notes: z.array(z.string()).optional(), meta: z.any().optional() });

export default createSync({
	description: 'Webhooks save, merge and delete',
	frequency: 'every day',
	autoStart: false,
	models: { Ticket },
	webhookSubscriptions: ['ticket.created', 'ticket.updated', 'ticket.deleted', 'ticket.broken'],
	exec: async (nango) => {
		await nango.batchSave([{ id: 't0', status: 'full' }], 'Ticket');
	},
	onWebhook: async (nango, payload: any) => {
		await nango.log(`${(nango as any).scriptType} ${payload.type}`, { level: 'warn' });
		const { ticket } = payload;
		switch (payload.type) {
			case 'ticket.created':
				await nango.batchSave([].concat(ticket).map(({ id, ...rest }: any) => ({ id: String(id), ...rest })), 'Ticket');
				break;
			case 'ticket.updated':
				await nango.batchUpdate([{ id: String(ticket.id), ...ticket.changes }], 'Ticket');
				break;
			case 'ticket.deleted':
				await nango.batchDelete([{ id: String(ticket.id) }], 'Ticket');
				break;
			default:
				await nango.batchSave([{ id: 'partly', status: 'kept' }], 'Ticket');
				throw new nango.ActionError({ why: 'unknown type' });
		}
	}
});
