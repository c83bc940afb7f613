import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Logs at every level of the logger',
	input: z.object({ level: z.string().optional() }),
	output: z.any(),
	exec: async (nango, { level }) => {
		if (level) nango.setLogger({ level: level as any });
		for (const each of ['debug', 'info', 'warn', 'error', 'verbose', 'silly', 'http'] as any[]) await nango.log(`at ${each}`, { level: each });
		await nango.log('plain');
		await nango.log();
		await nango.log('two', { context: { a: [1] } }, { level: 'error' });
		await nango.log(null as any, { level: 'warn' });
		await nango.log(['list', { of: 'things' }] as any, { level: 'warn' });
		await nango.log('tab\tand \u2028 and 😀 and "quotes" and \\', { level: 'error' });
		console.log('nowhere');
		return nango.logger;
	}
});
