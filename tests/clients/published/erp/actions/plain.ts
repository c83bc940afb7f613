import { createAction } from 'nango';
import * as z from 'zod';
import { createHash } from 'node:crypto';

export default createAction({
	description: 'No frills',
	input: z.void(),
	output: z.any(),
	exec: async () => createHash('sha256').update('x').digest('hex')
});
