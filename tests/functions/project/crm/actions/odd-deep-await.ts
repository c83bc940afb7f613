import { createAction } from 'nango';
import * as z from 'zod';

async function down(n: number): Promise<number> {
	return n === 0 ? 0 : 1 + (await down(n - 1));
}

export default createAction({ description: 'Deep recursion through await', input: z.object({ depth: z.number() }), output: z.number(), exec: async (_nango, { depth }) => await down(depth) });
