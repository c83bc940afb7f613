import { createAction } from 'nango';
import * as z from 'zod';

class ProviderError extends Error {
	readonly status: number;
	constructor(message: string, status: number, options?: { cause?: unknown }) {
		super(message, options as any);
		this.name = 'ProviderError';
		this.status = status;
	}
	get retryable(): boolean {
		return this.status >= 500;
	}
}
class RateLimited extends ProviderError {
	constructor(readonly after: number) {
		super(`wait ${after} s`, 429);
		this.name = 'RateLimited';
	}
}

export default createAction({
	description: 'Classes of errors and finally',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const log: string[] = [];
		const call = async (path: string) => {
			try {
				return await nango.get({ endpoint: path });
			} catch (error: any) {
				if (error.response?.status === 429) throw new RateLimited(Number(error.response.headers['retry-after']));
				throw new ProviderError(error.response?.data?.message ?? 'unknown', error.response?.status ?? 0, { cause: error });
			} finally {
				log.push(`done ${path}`);
			}
		};
		for (const path of ['/limited', '/down', '/fine']) {
			try {
				await call(path);
				log.push('fine');
			} catch (error) {
				if (!(error instanceof ProviderError)) throw error;
				log.push([error.name, error.message, error.status, error.retryable, error instanceof RateLimited, error instanceof Error, Object.prototype.toString.call(error), (error as any).cause?.name ?? '-', String(error)].join('|'));
			}
		}
		return log;
	}
});
