import { createAction } from 'nango';
import * as z from 'zod';

let calls = 0;
const cache = new Map<string, number>();
const seen: string[] = [];

export default createAction({
	description: 'What a run leaves behind is gone in the next',
	input: z.object({ tag: z.string() }),
	output: z.any(),
	exec: async (_nango, { tag }) => {
		calls++;
		cache.set(tag, calls);
		seen.push(tag);
		const leaked = (Array.prototype as any).leak ?? 'clean';
		(globalThis as any).count = ((globalThis as any).count ?? 0) + 1;
		return { calls, cache: [...cache], seen, leaked, loaded: typeof seen };
	}
});
