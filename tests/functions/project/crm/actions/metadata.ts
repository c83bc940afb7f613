import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Reads and writes the connection metadata',
	input: z.object({}),
	output: z.any(),
	metadata: z.object({ region: z.string(), fields: z.record(z.string(), z.string()) }),
	exec: async (nango) => {
		const before = await nango.getMetadata<any>();
		const updated = await nango.updateMetadata({ region: 'eu', extra: { list: [1, 'ü'] } } as any);
		const merged = await nango.getMetadata<any>();
		const replaced = await nango.setMetadata({ only: true } as any);
		const after = (await nango.getConnection()).metadata;
		return { before, merged, after, statuses: [updated.status, replaced.status] };
	}
});
