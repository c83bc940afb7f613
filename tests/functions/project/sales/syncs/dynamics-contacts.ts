import { createSync } from 'nango';
import { z } from 'zod';

const Contact = z.object({ id: z.string(), full_name: z.string(), email: z.string().nullable(), birthday: z.string().nullable(), etag: z.string() });

export default createSync({
	description: 'Contacts, pages by @odata.nextLink',
	version: '1.0.0',
	frequency: 'every 6 hours',
	autoStart: true,
	models: { Contact },
	exec: async (nango) => {
		await nango.trackDeletesStart('Contact');
		const config = {
			endpoint: '/api/data/v9.2/contacts',
			params: { $select: 'contactid,fullname,emailaddress1,birthdate', $orderby: 'fullname asc' },
			headers: { Prefer: 'odata.maxpagesize=2', 'OData-Version': '4.0', Accept: 'application/json' },
			paginate: { type: 'link', link_path_in_response_body: '@odata.nextLink', response_path: 'value' },
			retries: 3
		} as const;
		let total = 0;
		for await (const page of nango.paginate<Record<string, string | null>>(config)) {
			const contacts = page.map((raw) => ({
				id: raw['contactid']!,
				full_name: raw['fullname'] ?? '',
				email: raw['emailaddress1'] ?? null,
				birthday: raw['birthdate'] ? new Date(raw['birthdate']).toISOString().split('T')[0]! : null,
				etag: (raw['@odata.etag'] ?? '').replace(/^W\/"(.*)"$/, '$1')
			}));
			total += contacts.length;
			await nango.batchSave(contacts, 'Contact');
		}
		await nango.trackDeletesEnd('Contact');
		await nango.log(`${total} contacts`, { level: 'warn' });
	}
});
