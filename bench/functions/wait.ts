import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'waits for an answer',
	input: z.object({ id: z.string() }),
	output: z.object({ ok: z.boolean() }),
	exec: async (nango, input) => {
		const answer = await nango.get({ endpoint: '/items/' + input.id });
		return { ok: answer.status === 200 };
	}
});
