import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'getToken of an OAuth connection',
	input: z.object({ base: z.string() }),
	output: z.any(),
	exec: async (nango, { base }) => {
		const token = await nango.getToken();
		await nango.get({ baseUrlOverride: base, endpoint: '/user', headers: { 'x-token': String(token) } });
		return { kind: typeof token, token };
	}
});
