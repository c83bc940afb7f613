import { createAction } from 'nango';
import { z } from 'zod';

type Filter = { field: string; operator: '=' | '!=' | '>' | '<' | 'IN' | 'NIN'; value: string | number | (string | number)[] | null } | { operator: 'AND' | 'OR'; value: Filter[] };
const FilterSchema: z.ZodType<Filter> = z.lazy(() =>
	z.union([
		z.object({ operator: z.enum(['AND', 'OR']), value: z.array(FilterSchema).min(1) }),
		z.object({ field: z.string(), operator: z.enum(['=', '!=', '>', '<', 'IN', 'NIN']), value: z.union([z.string(), z.number(), z.array(z.union([z.string(), z.number()])), z.null()]) })
	])
);

export default createAction({
	description: 'Search conversations with nested filters',
	version: '1.0.0',
	input: z.object({ query: FilterSchema, max: z.number().optional() }),
	output: z.object({ conversations: z.array(z.any()), total: z.number(), truncated: z.boolean() }),
	exec: async (nango, input) => {
		const found: { id: string; title: string; open: boolean; last: string; words: number }[] = [];
		const max = input.max ?? 5;
		let total = 0;
		let truncated = false;
		outer: for await (const page of nango.paginate<any>({
			method: 'POST',
			endpoint: '/conversations/search',
			headers: { 'Intercom-Version': '2.11' },
			data: { query: FilterSchema.parse(input.query), pagination: { per_page: 2 } },
			paginate: {
				type: 'cursor',
				cursor_name_in_request: 'pagination.starting_after',
				cursor_path_in_response: 'pages.next.starting_after',
				limit_name_in_request: 'pagination.per_page',
				limit: 2,
				response_path: 'conversations',
				on_page: async ({ response }) => {
					total = response.data.total_count;
				}
			}
		})) {
			for (const conversation of page) {
				if (found.length >= max) {
					truncated = true;
					break outer;
				}
				const text = String(conversation.source?.body ?? '').replace(/<br\s*\/?>/gi, '\n').replace(/<[^>]*>/g, '').replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => ({ amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" })[name]!);
				found.push({ id: conversation.id, title: conversation.title ?? text.split('\n')[0]!.slice(0, 20).trimEnd(), open: !!conversation.open, last: new Date(conversation.updated_at * 1e3).toISOString(), words: text.split(/\s+/u).filter(Boolean).length });
			}
		}
		return { conversations: found, total, truncated };
	}
});
