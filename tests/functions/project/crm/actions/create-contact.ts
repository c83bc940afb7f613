import { createAction } from 'nango';
import * as z from 'zod';

const Input = z.object({ email: z.email(), firstName: z.string().optional(), lastName: z.string().optional(), custom: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).optional() });

export default createAction({
	description: 'Creates a contact, or finds the one that is there',
	input: Input,
	output: z.object({ id: z.string(), created: z.boolean() }),
	exec: async (nango, input) => {
		await nango.zodValidateInput({ zodSchema: Input, input });
		const properties = Object.entries({ email: input.email, firstname: input.firstName, lastname: input.lastName, ...input.custom }).filter(([, value]) => value !== undefined && value !== null);
		try {
			const { data } = await nango.post<{ id: number }>({ endpoint: '/contacts', data: { properties: properties.map(([property, value]) => ({ property, value })) }, retries: 1 });
			return { id: String(data.id), created: true };
		} catch (error: any) {
			if (error.response?.status !== 409) throw error;
			const existing = /Existing ID: (\d+)/.exec(error.response.data?.message ?? '')?.[1];
			if (!existing) {
				throw new nango.ActionError({ type: 'conflict', message: 'Contact exists but cannot be found', email: input.email });
			}
			return { id: existing, created: false };
		}
	}
});
