import { createAction } from 'nango';
import * as z from 'zod';

const action = createAction({
	description: 'Answers with its input and the revision of this file.',
	version: '1.0.0',
	input: z.object({ text: z.string(), count: z.number().optional() }),
	output: z.object({ text: z.string(), count: z.number(), revision: z.number() }),
	exec: async (_nango, input) => {
		return { text: input.text, count: input.count ?? 0, revision: 1 };
	}
});

export default action;
