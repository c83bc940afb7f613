import { createAction } from 'nango';
import * as z from 'zod';

// One block per page and a little more, so that each write below is to a page of its own.
const blocks: Uint8Array[] = [];
for (let i = 0; i < 2000; i++) blocks.push(new Uint8Array(4096));

export default createAction({
	description: 'writes to pages of the frozen heap',
	input: z.any(),
	output: z.any(),
	exec: async (nango, input) => {
		for (let i = 0; i < input.pages; i++) blocks[i][0] = 1;
		return null;
	}
});
