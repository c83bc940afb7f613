import { createAction } from 'nango';
import * as z from 'zod';

const Answer = z.object({ items: z.array(z.object({ id: z.string() })) });

export default createAction({
	description: 'A ZodError that nobody catches',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const { data } = await nango.get({ endpoint: '/items' });
		return Answer.parse(data);
	}
});
