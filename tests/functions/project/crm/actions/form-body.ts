import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Form bodies, from objects, texts and URLSearchParams',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
		await nango.post({ endpoint: '/form', headers: form, data: { grant_type: 'x y', scope: 'a+b&c', n: 1, list: ['p', 'q'], deep: { k: 'v' }, none: null } });
		await nango.post({ endpoint: '/form', headers: form, data: new URLSearchParams({ a: '1 2', b: 'ü' }).toString() });
		await nango.post({ endpoint: '/form', data: new URLSearchParams([['a', '1'], ['a', '2']]) });
		await nango.post({ endpoint: '/form', headers: form, data: new URLSearchParams({ c: "'~*" }) });
		return 'sent';
	}
});
