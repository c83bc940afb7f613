import { createAction } from 'nango';
import * as z from 'zod';

const TEXTS = ['2024-01-05', '2024-01-05T10:20:30Z', '2024-01-05T10:20:30.123456Z', '2024-01-05T10:20:30+02:00', '2024-01-05T10:20:30+0200', '2024-01-05 10:20:30', '2024/01/05', 'Jan 5, 2024', '5 January 2024 10:00', 'Fri, 05 Jan 2024 10:20:30 GMT', 'Fri Jan 05 2024 10:20:30 GMT+0100 (CET)', '2024-02-30', '2024-13-01', 'nonsense', '', '2024', '2024-06', '20240105', '1704448800', '01/05/2024', '1/5/24', '2024-01-05T24:00:00Z', '+012024-01-05T00:00:00Z', '2024-01-05T10:20Z', '2024-01-05T10:20:30', 'January 2024', '2024-1-5', 'Jan 5 2024 3:04 PM', '2024-01-05T10:20:30.1Z'];

export default createAction({
	description: 'Parses the date formats that providers send',
	input: z.object({}),
	output: z.any(),
	exec: async () =>
		TEXTS.map((text) => {
			const date = new Date(text);
			return [text, Number.isNaN(date.getTime()) ? 'invalid' : date.toISOString(), Date.parse(text) === date.getTime() || Number.isNaN(date.getTime())];
		})
});
