import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Response headers that come twice',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const { headers } = await nango.get({ endpoint: '/h' });
		return { cookies: headers['set-cookie'], twice: headers['x-twice'] };
	}
});
