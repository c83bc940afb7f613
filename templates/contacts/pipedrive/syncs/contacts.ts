import { createSync } from 'nango';
import type * as z from 'zod';

import { Contact } from '../../contact.js';
import { Person, toContact } from '../mapper.js';

// Every person, page by page; one that Pipedrive lists no more is deleted, but only when the list was read to its end.
const sync = createSync({
	description: 'The persons of Pipedrive.',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	models: { Contact },
	exec: async (nango) => {
		await nango.trackDeletesStart('Contact');
		const pages = nango.paginate<z.infer<typeof Person>>({
			endpoint: '/v2/persons',
			paginate: {
				type: 'cursor',
				cursor_path_in_response: 'additional_data.next_cursor',
				cursor_name_in_request: 'cursor',
				response_path: 'data',
				limit_name_in_request: 'limit',
				limit: 100
			},
			retries: 5
		});
		for await (const page of pages) {
			await nango.batchSave(page.map((raw) => toContact(Person.parse(raw))), 'Contact');
		}
		await nango.trackDeletesEnd('Contact');
	}
});

export type NangoSyncLocal = Parameters<(typeof sync)['exec']>[0];
export default sync;
