import { createAction } from 'nango';
import * as z from 'zod';

const action = createAction({
	description: 'Starts the schedule of a variant and triggers a run of it.',
	version: '1.0.0',
	input: z.object({ variant: z.string() }),
	output: z.object({ done: z.boolean() }),
	exec: async (nango, input) => {
		const sync = { name: 'pulse', variant: input.variant };
		await nango.startSync('clients-crm', [sync], nango.connectionId);
		await nango.triggerSync('clients-crm', nango.connectionId, sync, 'full_refresh');
		return { done: true };
	}
});

export default action;
