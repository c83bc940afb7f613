import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'The provider closes a kept connection instead of answering a POST',
	input: z.object({ method: z.enum(['GET', 'POST']) }),
	output: z.any(),
	exec: async (nango, { method }) => {
		await nango.get({ endpoint: '/warm' });
		try {
			await nango.proxy({ method, endpoint: '/gone', data: { pay: 1 } });
			return 'answered';
		} catch (error: any) {
			return [error.code, error.isAxiosError, error.response === undefined];
		}
	}
});
