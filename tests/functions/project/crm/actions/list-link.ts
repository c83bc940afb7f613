import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Pages by link header or by a link in the body',
	input: z.object({ how: z.enum(['header', 'body', 'relative']) }),
	output: z.any(),
	exec: async (nango, { how }) => {
		const pages: number[][] = [];
		const nexts: unknown[] = [];
		for await (const page of nango.paginate<any>({
			endpoint: '/issues',
			params: { state: 'all' },
			paginate: {
				type: 'link',
				...(how === 'header' ? { link_rel_in_response_header: 'next' } : { link_path_in_response_body: 'links.next' }),
				limit_name_in_request: 'per_page',
				limit: 3,
				...(how !== 'header' && { response_path: 'items' }),
				on_page: ({ nextPageParam }) => {
					nexts.push(nextPageParam ?? null);
				}
			}
		})) {
			pages.push(page.map((issue: any) => issue.n));
		}
		return { pages, nexts };
	}
});
