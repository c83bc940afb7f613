import { createAction } from 'nango';
import { z } from 'zod';

const Entry = z.object({ id: z.number(), entity: z.object({ id: z.number(), name: z.string().optional(), first_name: z.string().optional(), last_name: z.string().optional(), domain: z.string().nullable().optional() }), entity_type: z.number(), created_at: z.string() });
const TYPES: Record<number, 'person' | 'organization' | 'opportunity'> = { 0: 'person', 1: 'organization', 8: 'opportunity' };
const MAX_PAGES = 10;

export default createAction({
	description: 'Entries of a list, page after page by token',
	version: '1.0.0',
	input: z.object({ listId: z.number().int() }),
	output: z.any(),
	exec: async (nango, { listId }) => {
		const groups = new Map<string, Array<{ id: string; label: string; since: string }>>();
		let token: string | null | undefined;
		let page = 0;
		do {
			const response: { data: { list_entries?: unknown[]; next_page_token?: string | null } } = await nango.get({
				endpoint: `/lists/${listId}/list-entries`,
				params: { page_size: '500', ...(token ? { page_token: token } : {}) },
				retries: 3
			});
			for (const raw of response.data.list_entries ?? []) {
				const entry = Entry.parse(raw);
				const kind = TYPES[entry.entity_type] ?? `unknown (${entry.entity_type})`;
				const { entity } = entry;
				const label = entity.name ?? [entity.first_name, entity.last_name].filter((part): part is string => Boolean(part)).join(' ');
				if (!groups.has(kind)) groups.set(kind, []);
				groups.get(kind)!.push({ id: entry.id.toString(), label: label || entity.domain || '(none)', since: entry.created_at.slice(0, 10) });
			}
			token = response.data.next_page_token;
		} while (token && ++page < MAX_PAGES);
		const summary: Record<string, number> = {};
		groups.forEach((list, kind) => (summary[kind] = list.length));
		return { groups: Object.fromEntries([...groups].sort(([a], [b]) => (a < b ? -1 : 1))), summary };
	}
});
