import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Locks: taken twice, released twice, foreign, expired',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const key = `rules-${nango.connectionId}`;
		const out: any[] = [];
		out.push(await nango.tryAcquireLock({ key, ttlMs: 60000 }), await nango.tryAcquireLock({ key, ttlMs: 60000 }));
		out.push(await nango.releaseLock({ key }), await nango.releaseLock({ key }), await nango.releaseLock({ key: `${key}-never` }));
		out.push(await nango.tryAcquireLock({ key: `${key}-😀`, ttlMs: 1000 }), await nango.tryAcquireLock({ key: `${key}-b`, ttlMs: 1000 }));
		await nango.releaseAllLocks();
		out.push(await nango.releaseLock({ key: `${key}-b` }), await nango.tryAcquireLock({ key: `${key}-b`, ttlMs: 1000 }));
		return out;
	}
});
