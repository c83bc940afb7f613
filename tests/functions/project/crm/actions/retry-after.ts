import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'A 429 that says when; statuses to be tried again',
	input: z.object({ status: z.number(), retryOn: z.array(z.number()).optional() }),
	output: z.any(),
	exec: async (nango, { retryOn }) => {
		try {
			const { data, status } = await nango.get<any>({ endpoint: '/limited', retries: 2, ...(retryOn && { retryOn }), retryHeader: { after: 'retry-after' } } as any);
			return { data, status };
		} catch (error: any) {
			return { failed: error.response.status, after: error.response.headers['retry-after'] ?? null };
		}
	}
});
