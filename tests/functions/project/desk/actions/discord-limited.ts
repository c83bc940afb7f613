import { createAction } from 'nango';
import { z } from 'zod';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function withBackoff<T>(call: () => Promise<T>, waits: number[]): Promise<T> {
	for (let attempt = 0; ; attempt++) {
		try {
			return await call();
		} catch (error: any) {
			const limited = error?.response?.status === 429;
			if (!limited || attempt >= 2) throw error;
			const after = Number(error.response.data?.retry_after ?? error.response.headers?.['retry-after'] ?? 1);
			waits.push(after);
			await sleep(after * 10);
		}
	}
}

export default createAction({
	description: 'Retries of its own when limited',
	version: '1.0.0',
	input: z.object({ channels: z.array(z.string()) }),
	output: z.any(),
	exec: async (nango, input) => {
		const waits: number[] = [];
		const out: Record<string, string> = {};
		for (const channel of input.channels) {
			const result = await Promise.race([
				withBackoff(async () => (await nango.get<{ name: string }>({ endpoint: `/channels/${channel}`, headers: { 'X-RateLimit-Precision': 'millisecond' } })).data.name, waits),
				sleep(5000).then(() => 'timed out')
			]).catch((error: unknown) => (error instanceof Error ? error.message : 'unknown'));
			out[channel] = result;
		}
		return { out, waits };
	}
});
