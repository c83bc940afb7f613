import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Hands its input back',
	input: z.any(),
	output: z.any(),
	exec: async (nango, input) => {
		await nango.log('noop runs', { level: 'warn' });
		return { input };
	},
});
