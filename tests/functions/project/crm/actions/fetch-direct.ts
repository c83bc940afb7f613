import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'uncontrolledFetch: a request without credentials',
	input: z.object({ url: z.string() }),
	output: z.any(),
	exec: async (nango, input) => {
		const url = new URL(input.url);
		url.searchParams.set('q', 'a b');
		const response = await nango.uncontrolledFetch({ url, method: 'POST', headers: { 'x-mine': '1', 'content-type': 'text/plain' }, body: 'hallo ü' });
		return { ok: response.ok, status: response.status, type: response.headers.get('content-type'), json: await response.json() };
	}
});
