import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Other actions: what they answer and how they fail',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const call = async (name: string, input?: unknown) => {
			try {
				return { output: await nango.triggerAction('crm', nango.connectionId, name, input) };
			} catch (error: any) {
				return { status: error.response?.status, code: error.response?.data?.error?.code, payload: error.response?.data?.error?.payload ?? null, axios: error.isAxiosError === true, name: error.name };
			}
		};
		return [await call('noop'), await call('noop', { text: '😀\u2028', n: 1e21, list: [null] }), await call('noop', 'text'), await call('outputs', { kind: 'null' }), await call('action-error', { payload: { n: 1, z: [{}] } }), await call('throw-things', { what: 'reject' }), await call('no-such-action', {}), await call('basic-error', { path: '/tea' })];
	}
});
