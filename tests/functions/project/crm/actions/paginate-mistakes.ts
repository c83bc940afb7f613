import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Pagination that is not configured is a plain error',
	input: z.object({ paginate: z.any() }),
	output: z.any(),
	exec: async (nango, { paginate }) => {
		try {
			for await (const page of nango.paginate({ endpoint: '/x', paginate })) return page;
			return 'no page';
		} catch (error) {
			return { plain: error instanceof Error, isAxios: Boolean((error as any).isAxiosError), action: error instanceof nango.ActionError };
		}
	}
});
