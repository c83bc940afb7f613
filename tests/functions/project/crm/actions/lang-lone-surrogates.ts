import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Halves of characters inside of the function',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const cut = '😀'.slice(0, 1);
		return [cut.length, cut.charCodeAt(0), Buffer.from(cut).toString('hex'), ('a' + cut).length, (cut + '😀'.slice(1)) === '😀'];
	}
});
