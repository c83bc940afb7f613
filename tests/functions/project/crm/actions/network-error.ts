import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'No answer at all',
	input: z.object({ base: z.string().optional(), path: z.string(), catch: z.boolean() }),
	output: z.any(),
	exec: async (nango, input) => {
		try {
			await nango.get({ endpoint: input.path, ...(input.base && { baseUrlOverride: input.base }) });
			return 'answered';
		} catch (error: any) {
			if (!input.catch) throw error;
			return { name: error.name, code: error.code, axios: error.isAxiosError, response: error.response === undefined, isError: error instanceof Error };
		}
	}
});
