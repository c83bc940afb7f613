import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'What data is for each answer and each responseType',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const out: Record<string, unknown> = {};
		for (const name of ['json', 'text', 'html', 'csv', 'empty', 'number', 'broken', 'bom', 'gzip', 'no-content', 'latin']) {
			for (const responseType of [undefined, 'json', 'text'] as const) {
				try {
					const { data, status } = await nango.get({ endpoint: `/${name}`, ...(responseType && { responseType }) });
					out[`${name}/${responseType}`] = [status, typeof data, data];
				} catch (error: any) {
					out[`${name}/${responseType}`] = ['thrown', error.name, error.code ?? null, error.isAxiosError === true];
				}
			}
		}
		return out;
	}
});
