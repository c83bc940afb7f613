import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Lists, nothing and objects as parameters',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const params: any = { ids: [1, 2, 3], none: null, gone: undefined, empty: '', emptyList: [], nested: { a: 1 }, at: new Date(0).toISOString() };
		return (await nango.get({ endpoint: '/q', params })).data;
	}
});
