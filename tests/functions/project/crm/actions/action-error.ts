import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'ActionError with payloads of every kind',
	input: z.object({ payload: z.any() }),
	output: z.any(),
	exec: async (nango, input) => {
		const error = new nango.ActionError(input.payload);
		const facts = [error instanceof Error, error instanceof nango.ActionError, error.name, error.message, error.type, typeof error.stack, Object.keys(error)];
		await nango.log(JSON.stringify(facts), { level: 'warn' });
		throw error;
	}
});
