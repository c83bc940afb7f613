import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Reads a very long answer',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const { data } = await nango.get<{ id: string; n: number; note: string }[]>({ endpoint: '/huge' });
		const last = data[data.length - 1]!;
		return { count: data.length, sum: data.reduce((sum, { n }) => sum + n, 0), last, letters: data.reduce((sum, { note }) => sum + note.length, 0) };
	}
});
