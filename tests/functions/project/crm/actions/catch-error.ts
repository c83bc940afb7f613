import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Reads a caught provider error',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const out: unknown[] = [];
		for (const path of ['/missing', '/teapot', '/broken', '/moved']) {
			try {
				out.push((await nango.get({ endpoint: path })).status);
			} catch (error: any) {
				out.push({
					isError: error instanceof Error,
					name: error.name,
					message: error.message,
					code: error.code,
					status: error.status,
					isAxiosError: error.isAxiosError,
					response: error.response && { status: error.response.status, text: error.response.statusText, data: error.response.data, type: error.response.headers['content-type'] },
					method: error.config?.method,
					string: String(error)
				});
			}
		}
		return out;
	}
});
