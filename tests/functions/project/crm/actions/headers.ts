import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Request and response headers',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const response = await nango.get({
			endpoint: '/h',
			headers: { Accept: 'application/vnd.crm+json', 'X-Number': 5, 'X-Flag': true, 'If-None-Match': '"abc"', 'x-null': null, 'x-gone': undefined } as any
		});
		const { headers } = response;
		return {
			lower: headers['x-request-id'],
			limit: Number(headers['x-ratelimit-remaining']),
			type: headers['content-type'],
			missing: headers['nope'] ?? 'none',
			get: (headers as any).get('X-Request-Id'),
			cookies: headers['set-cookie'] ?? null
		};
	}
});
