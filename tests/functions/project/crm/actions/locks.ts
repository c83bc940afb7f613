import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Takes and gives back a lock',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const got = await nango.tryAcquireLock({ key: 'import', ttlMs: 1000 });
		const released = await nango.releaseLock({ key: 'import' });
		await nango.releaseAllLocks();
		return { got, released };
	}
});
