import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Every method, with the body it may carry',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const at = { endpoint: '/echo' };
		const answers = [
			await nango.get({ ...at, params: { q: 1 } }),
			await nango.post({ ...at, data: { name: 'Žofie', list: [1, null, { deep: undefined }] } }),
			await nango.put({ ...at, data: [1, 2, 3] }),
			await nango.patch({ ...at, data: 'text as it is', headers: { 'Content-Type': 'text/plain' } }),
			await nango.delete({ ...at, data: { id: 7 } }),
			await nango.delete(at),
			await nango.post(at),
			await nango.proxy({ ...at, method: 'PUT' }),
			await nango.proxy({ ...at }),
			await nango.proxy({ ...at, method: 'get' as any, data: { never: 'sent' } })
		];
		return answers.map((each) => [each.status, each.statusText, each.data]);
	}
});
