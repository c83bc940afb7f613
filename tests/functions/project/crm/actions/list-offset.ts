import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Offset pagination, by size or by page',
	input: z.object({ perPage: z.boolean().optional(), start: z.number().optional(), body: z.boolean().optional() }),
	output: z.any(),
	exec: async (nango, input) => {
		const ids: number[] = [];
		const seen: unknown[] = [];
		const config = {
			endpoint: '/deals',
			...(input.body ? { method: 'POST' as const, data: { filter: { open: true } } } : { params: { order: 'asc' } }),
			paginate: {
				type: 'offset' as const,
				offset_name_in_request: input.body ? 'page.offset' : 'offset',
				limit_name_in_request: input.body ? 'page.limit' : 'limit',
				limit: 2,
				response_path: 'rows',
				...(input.start !== undefined && { offset_start_value: input.start }),
				...(input.perPage && { offset_calculation_method: 'per-page' as const }),
				on_page: async ({ nextPageParam, response }: any) => {
					seen.push([nextPageParam ?? null, response.status]);
				}
			}
		};
		for await (const page of nango.paginate<{ id: number }>(config)) ids.push(...page.map((row) => row.id));
		return { ids, seen };
	}
});
