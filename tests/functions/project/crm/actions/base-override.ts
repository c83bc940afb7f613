import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Another base URL, and endpoints in every form',
	input: z.object({ origin: z.string() }),
	output: z.any(),
	exec: async (nango, { origin }) => {
		const get = async (endpoint: string, baseUrlOverride?: string) => (await nango.get({ endpoint, ...(baseUrlOverride && { baseUrlOverride }) })).data;
		return [
			await get('/other/x', origin),
			await get('other/x', `${origin}/`),
			await get('/v2/x', `${origin}/deep/base`),
			await get('/with space/ü/a%20b'),
			await get('/dots/./a/../b'),
			await get('/items/1?expand=all#frag')
		];
	}
});
