import { createSync } from 'nango';
import * as z from 'zod';

const Person = z.object({ id: z.string(), name: z.string().nullable(), born: z.date().optional() });

export default createSync({
	description: 'Everybody',
	version: '2.0.0',
	frequency: 'every 5 minutes',
	autoStart: true,
	syncType: 'incremental',
	scopes: ['people.read'],
	endpoints: [
		{ method: 'GET', path: '/people' },
		{ method: 'GET', path: '/teams', group: 'Teams' }
	],
	models: { Person, Team: z.object({ id: z.string(), members: z.array(Person) }) },
	metadata: z.object({ filter: z.string().optional() }),
	checkpoint: z.object({ since: z.string() }),
	webhookSubscriptions: ['person.created', '*'],
	exec: async (nango) => {
		const checkpoint = await nango.getCheckpoint();
		for await (const page of nango.paginate<{ id: string }>({ endpoint: '/people', params: { since: checkpoint?.since ?? '' } })) {
			await nango.batchSave(page.map(({ id }) => ({ id, name: null })), 'Person');
		}
		await nango.saveCheckpoint({ since: 'now' });
	},
	onWebhook: async (nango, payload) => {
		await nango.batchDelete([{ id: payload.id }], 'Person');
	}
});
