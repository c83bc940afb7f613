import type { NangoAction } from 'nango';

// Errors of providers as functions tell of them.
const KNOWN: Record<number, { type: string; retryable: boolean }> = {
	400: { type: 'invalid_request', retryable: false },
	401: { type: 'unauthorized', retryable: false },
	404: { type: 'not_found', retryable: false },
	409: { type: 'conflict', retryable: false },
	429: { type: 'rate_limited', retryable: true }
};

export async function mapped<T>(nango: NangoAction, work: () => Promise<T>): Promise<T> {
	try {
		return await work();
	} catch (error: any) {
		if (error instanceof nango.ActionError) throw error;
		const status: number | undefined = error?.response?.status;
		if (status === undefined) throw new nango.ActionError({ type: 'network', code: error?.code ?? null, name: error?.name });
		const { type, retryable } = KNOWN[status] ?? { type: status >= 500 ? 'provider_down' : 'unknown', retryable: status >= 500 };
		const details = error.response.data?.errors?.map(({ field, message }: any) => `${field}: ${message}`) ?? [];
		throw new nango.ActionError({ type, retryable, status, details, after: Number(error.response.headers['retry-after'] ?? 0) || undefined });
	}
}

export const chunk = <T>(list: readonly T[], size: number): T[][] => (list.length === 0 ? [] : [list.slice(0, size), ...chunk(list.slice(size), size)]);
