import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Formats and calculates dates',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const date = new Date(Date.UTC(2024, 1, 29, 23, 5, 9, 7));
		const next = new Date(date);
		next.setUTCDate(next.getUTCDate() + 1);
		const monthEnd = new Date(Date.UTC(2024, 2, 0));
		const invalid = new Date('x');
		let thrown = '';
		try {
			invalid.toISOString();
		} catch (error) {
			thrown = `${(error as Error).name}: ${(error as Error).message}`;
		}
		return {
			text: [String(date), date.toUTCString(), date.toDateString(), date.toTimeString(), date.toJSON(), `${invalid}`],
			json: JSON.stringify({ date, invalid }),
			thrown,
			next: next.toISOString(),
			monthEnd: monthEnd.getUTCDate(),
			parts: [date.getFullYear(), date.getMonth(), date.getDay(), date.getHours(), date.getTimezoneOffset()],
			add: new Date(date.getTime() + 36e5).toISOString().slice(0, 10),
			diff: (next.getTime() - date.getTime()) / 864e5,
			primitive: [`${+date}`, date > monthEnd, typeof (date as any)[Symbol.toPrimitive]],
			fields: new Date(2024, 0, 31, 12).toISOString(),
			before: new Date(-1).toISOString(),
			max: new Date(8.64e15).toISOString(),
			unix: new Date(1704448800 * 1000).toISOString().replace(/\.\d{3}Z$/, 'Z')
		};
	}
});
