import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Provider pagination with an own limit',
	input: z.object({ base: z.string() }),
	output: z.any(),
	exec: async (nango, { base }) => {
		const mails: (string | null)[] = [];
		for await (const page of nango.paginate<any>({ baseUrlOverride: base, endpoint: '/crm/v3/objects/contacts', params: { properties: ['email', 'phone'].join(',') }, paginate: { limit: 2 } })) {
			for (const { properties } of page) mails.push(properties?.email?.toLowerCase() ?? null);
		}
		return mails;
	}
});
