import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'nothing',
	input: z.any(),
	output: z.any(),
	exec: async (nango, input) => input
});
