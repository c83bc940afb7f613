import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'A search whose cursor goes into a nested body',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const found: string[] = [];
		for await (const page of nango.paginate<{ id: string }>({
			method: 'POST',
			endpoint: '/search',
			data: { query: 'a b', sort: [{ field: 'x', order: 'desc' }] },
			paginate: { type: 'cursor', cursor_path_in_response: 'paging.next.after', cursor_name_in_request: 'page.after', response_path: 'results' }
		})) {
			for (const { id } of page) found.push(id);
		}
		return found;
	}
});
