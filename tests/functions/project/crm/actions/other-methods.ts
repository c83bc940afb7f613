import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'HEAD and OPTIONS, and what is made of header names and values',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const out: unknown[] = [];
		for (const method of ['HEAD', 'OPTIONS'] as any[]) {
			const { status, data, headers } = await nango.proxy({ endpoint: '/m', method });
			out.push([status, data, headers['x-is'] ?? null]);
		}
		const headers: any = { 'X-List': ['a', 'b'], 'x-UPPER': 'Ü'.toLowerCase() === 'ü' ? 'kept' : '', 'X-Date': new Date(0).toISOString(), 'x-empty': '', accept: 'text/csv' };
		out.push((await nango.get({ endpoint: '/h', headers })).data);
		return out;
	}
});
