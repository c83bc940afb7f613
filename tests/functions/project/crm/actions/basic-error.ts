import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'A provider error that nobody catches',
	input: z.object({ path: z.string(), type: z.any() }),
	output: z.any(),
	exec: async (nango, { path, type }) => {
		const { data } = await nango.get({ endpoint: path, ...(type && { responseType: type }) });
		return data;
	}
});
