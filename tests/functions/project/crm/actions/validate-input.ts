import { createAction } from 'nango';
import * as z from 'zod';

const Input = z.object({ email: z.email(), age: z.number().int().min(18), role: z.enum(['admin', 'user']).default('user'), tags: z.array(z.string()).max(2).optional() }).strict();

export default createAction({
	description: 'zodValidateInput, accepted and refused',
	input: z.any(),
	output: z.any(),
	exec: async (nango, input) => {
		const parsed = await nango.zodValidateInput({ zodSchema: Input, input });
		return { success: parsed.success, data: parsed.data };
	}
});
