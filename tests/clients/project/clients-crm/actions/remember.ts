import { createAction } from 'nango';
import * as z from 'zod';

const action = createAction({
	description: 'Notes one value in the connection metadata and answers with what is noted there.',
	version: '1.0.0',
	input: z.object({ value: z.string() }),
	output: z.object({ noted: z.string() }),
	metadata: z.object({ noted: z.string() }),
	exec: async (nango, input) => {
		await nango.updateMetadata({ noted: input.value });
		const metadata = await nango.getMetadata();
		return { noted: metadata.noted };
	}
});

export default action;
