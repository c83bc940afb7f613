import { createAction } from 'nango';
import * as z from 'zod';

type Sender = (path: string) => Promise<{ status: number; data: any }>;

function withRetry(send: Sender, { times, waits }: { times: number; waits: number[] }): Sender {
	return async (path) => {
		for (let attempt = 1; ; attempt++) {
			try {
				return await send(path);
			} catch (error: any) {
				const after = Number(error?.response?.headers?.['retry-after'] ?? 0);
				if (error?.response?.status !== 429 || attempt > times) throw error;
				waits.push(after);
				await new Promise((resolve) => setTimeout(resolve, after * 10));
			}
		}
	};
}

export default createAction({
	description: 'A retry of its own around each request',
	input: z.object({ paths: z.array(z.string()) }),
	output: z.any(),
	exec: async (nango, { paths }) => {
		const waits: number[] = [];
		const send = withRetry(async (path) => nango.get({ endpoint: path }), { times: 2, waits });
		const out = [];
		for (const path of paths) out.push((await send(path)).data);
		return { out, waits };
	}
});
