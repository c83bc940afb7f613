import { createSync } from 'nango';
import * as z from 'zod';

const Contact = z.object({ id: z.string(), name: z.string(), email: z.string(), company: z.string() });

// Every contact of the CRM, page by page.  What the CRM no longer lists is deleted here as well, but only when
// the list was read to its end: a run that fails half way deletes nothing.
const sync = createSync({
	description: 'The contacts of the CRM.',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	endpoints: [{ method: 'GET', path: '/contacts', group: 'Contacts' }],
	models: { Contact },
	exec: async (nango) => {
		await nango.trackDeletesStart('Contact');
		const pages = nango.paginate<z.infer<typeof Contact>>({
			endpoint: '/contacts',
			paginate: {
				type: 'cursor',
				cursor_path_in_response: 'next',
				cursor_name_in_request: 'cursor',
				response_path: 'contacts',
				limit_name_in_request: 'limit',
				limit: 20
			},
			retries: 3
		});
		for await (const page of pages) {
			await nango.batchSave(page.map((each) => Contact.parse(each)), 'Contact');
		}
		await nango.trackDeletesEnd('Contact');
	}
});

export type NangoSyncLocal = Parameters<(typeof sync)['exec']>[0];
export default sync;
