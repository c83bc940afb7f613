import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Follows redirects',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const first = await nango.get({ endpoint: '/old', headers: { 'x-mine': 'kept' } });
		const second = await nango.post({ endpoint: '/created', data: { a: 1 } });
		const third = await nango.post({ endpoint: '/kept', data: { a: 1 } });
		return [first.data, second.data, third.data];
	}
});
