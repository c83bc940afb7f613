import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'A connection that is not there',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		try {
			await nango.getConnection('crm', 'nobody');
			return 'found';
		} catch (error: any) {
			return { isError: error instanceof Error, action: error instanceof nango.ActionError };
		}
	}
});
