import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Code from strings is refused',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const out: string[] = [];
		const make = Object.getPrototypeOf(() => 1).constructor;
		for (const attempt of [() => make('return 1')(), () => (globalThis as any)['ev' + 'al']('1')]) {
			try {
				attempt();
				out.push('ran');
			} catch (error) {
				out.push(`${(error as Error).name}: ${(error as Error).message}`);
			}
		}
		return out;
	}
});
