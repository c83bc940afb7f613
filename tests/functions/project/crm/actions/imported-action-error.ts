import { ActionError, createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'ActionError imported from the module',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		throw new ActionError({ code: 'imported', list: [1] });
	}
});
