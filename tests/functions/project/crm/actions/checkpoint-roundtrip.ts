import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Saves, reads and clears a checkpoint',
	input: z.object({}),
	output: z.any(),
	checkpoint: z.object({ page: z.number(), at: z.string() }),
	exec: async (nango) => {
		const first = await nango.getCheckpoint();
		await nango.saveCheckpoint({ page: 2, at: '2024-01-01' });
		const second = await nango.getCheckpoint();
		await nango.clearCheckpoint();
		return { first, second, third: await nango.getCheckpoint() };
	}
});
