import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'A checkpoint outlives the call',
	input: z.object({ what: z.string() }),
	output: z.any(),
	checkpoint: z.object({ n: z.number(), text: z.string(), on: z.boolean() }),
	exec: async (nango, { what }) => {
		const before = await nango.getCheckpoint();
		if (what === 'count') await nango.saveCheckpoint({ n: (before?.n ?? 0) + 1, text: `ü😀 ${before?.text?.length ?? 0}`, on: true });
		if (what === 'clear') await nango.clearCheckpoint();
		if (what === 'fail') {
			await nango.saveCheckpoint({ n: 100, text: '', on: false });
			throw new nango.ActionError({ before });
		}
		return { before, after: await nango.getCheckpoint() };
	}
});
