import { createAction } from 'nango';
import * as z from 'zod';

const Contact = z.object({ id: z.string(), name: z.string() });

const action = createAction({
	description: 'Reads one contact; a provider error is left uncaught.',
	version: '1.0.0',
	input: z.object({ id: z.string() }),
	output: Contact,
	exec: async (nango, input) => {
		const response = await nango.get({ endpoint: `/contacts/${input.id}` });
		return Contact.parse(response.data);
	}
});

export default action;
