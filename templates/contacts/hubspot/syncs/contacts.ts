import { createSync } from 'nango';
import type * as z from 'zod';

import { Contact } from '../../contact.js';
import { HubSpotContact, PROPERTIES, toContact } from '../mapper.js';

// Every contact, page by page; one that HubSpot lists no more is deleted, but only when the list was read to its end.
const sync = createSync({
	description: 'The contacts of HubSpot.',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	models: { Contact },
	exec: async (nango) => {
		await nango.trackDeletesStart('Contact');
		const pages = nango.paginate<z.infer<typeof HubSpotContact>>({
			endpoint: '/crm/v3/objects/contacts',
			params: { properties: PROPERTIES.join(',') },
			paginate: {
				type: 'cursor',
				cursor_path_in_response: 'paging.next.after',
				cursor_name_in_request: 'after',
				response_path: 'results',
				limit_name_in_request: 'limit',
				limit: 100
			},
			retries: 5
		});
		for await (const page of pages) {
			await nango.batchSave(page.map((raw) => toContact(HubSpotContact.parse(raw))), 'Contact');
		}
		await nango.trackDeletesEnd('Contact');
	}
});

export type NangoSyncLocal = Parameters<(typeof sync)['exec']>[0];
export default sync;
