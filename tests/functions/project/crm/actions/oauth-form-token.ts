import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'A token by a form, then a request with it',
	input: z.object({ secret: z.string() }),
	output: z.any(),
	exec: async (nango, input) => {
		const form = new URLSearchParams({ grant_type: 'client_credentials', scope: 'read write+all' });
		form.append('client_secret', input.secret);
		form.append('scope', 'ü&=');
		const token = await nango.post<any>({ endpoint: '/oauth/token', data: form.toString(), headers: { 'Content-Type': 'application/x-www-form-urlencoded' } });
		const answer = await nango.get<any>({ endpoint: '/me', headers: { 'X-Token': token.data.access_token } });
		const object = await nango.post<any>({ endpoint: '/form', data: { a: 'x y', list: [1, 2], deep: { b: 'ü' }, empty: '', nothing: null } as any, headers: { 'content-type': 'application/x-www-form-urlencoded' } });
		return { token: token.data.token_type, me: answer.data, form: object.status };
	}
});
