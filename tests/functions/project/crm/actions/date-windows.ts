import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Splits a period into windows and asks for each',
	input: z.object({ from: z.string(), to: z.string(), days: z.number().default(7) }),
	output: z.any(),
	exec: async (nango, { from, to, days = 7 }) => {
		const windows: [string, string][] = [];
		const end = new Date(to);
		for (let start = new Date(from); start < end; ) {
			const stop = new Date(Math.min(start.getTime() + days * 86_400_000, end.getTime()));
			windows.push([start.toISOString(), stop.toISOString()]);
			start = stop;
		}
		let count = 0;
		for (const [after, before] of windows) {
			const { data } = await nango.get<{ count: number }>({ endpoint: '/report', params: { after, before, tz: 'UTC', day: after.split('T')[0]! } });
			count += data.count;
		}
		return { windows, count };
	}
});
