import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'getToken of a connection with a password',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const token: any = await nango.getToken();
		const connection: any = await nango.getConnection();
		return { token: { type: token.type, password: token.password, keys: Object.keys(token).sort() }, same: JSON.stringify(token) === JSON.stringify(connection.credentials) };
	}
});
