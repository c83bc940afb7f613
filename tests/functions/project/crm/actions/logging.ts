import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Logs of every level and shape',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		await nango.log('dropped: info is below warn');
		await nango.log('warned', { level: 'warn' });
		await nango.log('with meta', { a: 1 }, { level: 'error' });
		nango.setLogger({ level: 'info' });
		await nango.log('now seen');
		await nango.log('http is info', { level: 'http' } as any);
		await nango.log('verbose is debug and dropped', { level: 'verbose' } as any);
		await nango.log({ an: 'object' } as any);
		await nango.log('emoji 😀 "quoted" \\ back\nline', ['list']);
		await nango.log(42 as any);
		nango.setLogger({ level: 'off' });
		await nango.log('silence', { level: 'error' });
		nango.setLogger({ level: 'debug' });
		await nango.log('off stays off', { level: 'error' });
		return nango.logger.level;
	}
});
