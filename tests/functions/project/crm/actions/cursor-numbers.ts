import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Cursors that are numbers, and pages told to on_page',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const cursors: (string | number | null)[] = [];
		let total = 0;
		for await (const page of nango.paginate<number>({
			endpoint: 'events',
			paginate: {
				type: 'cursor',
				cursor_path_in_response: 'next',
				cursor_name_in_request: 'after',
				response_path: 'list',
				on_page: async ({ nextPageParam }) => {
					cursors.push(nextPageParam ?? null);
				}
			}
		})) {
			total += page.reduce((sum, n) => sum + n, 0);
		}
		return { total, cursors };
	}
});
