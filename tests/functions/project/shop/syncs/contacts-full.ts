import { createSync } from 'nango';
import * as z from 'zod';

const Contact = z.object({ id: z.string(), name: z.string(), updated: z.string() });

export default createSync({
	description: 'All contacts, deletions included',
	frequency: 'every hour',
	models: { Contact },
	exec: async (nango) => {
		await nango.trackDeletesStart('Contact');
		for await (const page of nango.paginate<any>({ endpoint: '/contacts', paginate: { type: 'offset', offset_name_in_request: 'skip', response_path: 'data' } })) {
			await nango.batchSave(page.map((raw) => ({ id: String(raw.id), name: raw.name, updated: raw.updated })), 'Contact');
		}
		await nango.trackDeletesEnd('Contact');
	}
});
