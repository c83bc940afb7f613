import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Timers fire in order',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const out: string[] = [];
		await new Promise<void>((resolve) => {
			setTimeout(() => out.push('20'), 20);
			setTimeout((a: string, b: string) => out.push(a + b), 1, 'x', 'y');
			setTimeout(() => out.push('10'), 10);
			setTimeout(() => {
				out.push('zero');
				Promise.resolve().then(() => out.push('micro of zero'));
			}, 0);
			setTimeout(resolve, 40);
		});
		const started = Date.now();
		await new Promise((resolve) => setTimeout(resolve, 30));
		const took = Date.now() - started;
		return { out, waited: took >= 28 && took < 2000 };
	}
});
