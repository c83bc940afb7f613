import { createSync } from 'nango';
import * as z from 'zod';

const Contact = z.object({ id: z.string(), name: z.string() });

const sync = createSync({
	description: 'Saves three contacts, of which the second run deletes one.',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: false,
	checkpoint: z.object({ runs: z.number() }),
	models: { Contact },
	exec: async (nango) => {
		const seen = await nango.getCheckpoint();
		const runs = (seen?.runs ?? 0) + 1;
		const contacts = [];
		for (const id of ['1', '2', '3']) {
			const { data } = await nango.get({ endpoint: `/contacts/${id}` });
			contacts.push(Contact.parse(data));
		}
		await nango.batchSave(contacts, 'Contact');
		if (runs > 1) await nango.batchDelete([{ id: '3' }], 'Contact');
		await nango.saveCheckpoint({ runs });
	}
});

export default sync;
