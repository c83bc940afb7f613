import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'JSON bodies: dates, toJSON, nothing, numbers, texts',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const json = { 'content-type': 'application/json' };
		const post = (data: any, headers?: any) => nango.post({ endpoint: '/json', data, ...(headers && { headers }) });
		await post({ at: new Date(Date.UTC(2024, 1, 29)), skip: undefined, fn: () => 1, nan: NaN, inf: -Infinity, neg0: -0, e: 1e21, s: 1e-7 });
		await post({ money: { toJSON: () => ({ amount: '1.00' }) }, list: [undefined, () => 1, null] });
		await post('{"already":"text"}', json);
		await post('plain text', json);
		await post('no type');
		await post({ emoji: '😀', sep: '\u2028', control: '\u0001\u007f' }, { 'Content-Type': 'application/vnd.api+json' });
		await post(12345678901234567890, json);
		await post(true, json);
		await post([]);
		await post({});
		await post(null);
		await post('');
		return 'sent';
	}
});
