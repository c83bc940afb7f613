import { createAction } from 'nango';
import * as z from 'zod';

const Contact = z.object({ id: z.string(), name: z.string(), email: z.string().nullable(), tags: z.array(z.string()) });

interface RawContact {
	id: number;
	first_name?: string;
	last_name?: string;
	email?: string;
	tags?: { label: string }[];
}

export default createAction({
	description: 'Lists contacts by cursor',
	input: z.object({ since: z.string().optional() }),
	output: z.object({ contacts: z.array(Contact), pages: z.number() }),
	exec: async (nango, input) => {
		const contacts: z.infer<typeof Contact>[] = [];
		let pages = 0;
		for await (const page of nango.paginate<RawContact>({
			endpoint: '/v3/contacts',
			params: { ...(input.since && { updated_since: input.since }) },
			paginate: {
				type: 'cursor',
				cursor_path_in_response: 'meta.next',
				cursor_name_in_request: 'cursor',
				limit_name_in_request: 'limit',
				limit: 2,
				response_path: 'data.items'
			},
			retries: 2
		})) {
			pages++;
			for (const raw of page) {
				contacts.push({
					id: String(raw.id),
					name: [raw.first_name, raw.last_name].filter(Boolean).join(' '),
					email: raw.email ?? null,
					tags: raw.tags?.map(({ label }) => label) ?? []
				});
			}
		}
		return { contacts, pages };
	}
});
