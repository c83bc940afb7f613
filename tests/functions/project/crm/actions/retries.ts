import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Tries again where it was asked to',
	input: z.object({ path: z.string(), retries: z.number(), retryOn: z.array(z.number()).optional() }),
	output: z.any(),
	exec: async (nango, { path, retries, retryOn }) => {
		try {
			const { data } = await nango.get({ endpoint: path, retries, ...(retryOn && { retryOn }) });
			return data;
		} catch (error: any) {
			return { status: error.response?.status };
		}
	}
});
