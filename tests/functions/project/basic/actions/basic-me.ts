import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Basic credentials',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const { data, status } = await nango.get({ endpoint: '/me' });
		const token: any = await nango.getToken();
		const custom = Buffer.from(`${token.username.length}:${token.password}`).toString('base64');
		await nango.get({ endpoint: '/me', headers: { 'x-custom-auth': custom } });
		return { data, status, type: token.type };
	}
});
