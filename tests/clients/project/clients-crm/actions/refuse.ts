import { createAction } from 'nango';
import * as z from 'zod';

const action = createAction({
	description: 'Fails on purpose with an error of its own.',
	version: '1.0.0',
	input: z.object({ why: z.string() }),
	output: z.object({}),
	exec: async (nango, input) => {
		throw new nango.ActionError({ reason: input.why, code: 7 });
	}
});

export default action;
