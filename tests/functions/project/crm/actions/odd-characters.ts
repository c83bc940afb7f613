import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Characters that break: in input, query, body, headers, logs and output',
	input: z.object({ text: z.string() }),
	output: z.any(),
	exec: async (nango, { text }) => {
		await nango.log(`got ${text}`, { level: 'warn' });
		const { data } = await nango.post<any>({ endpoint: '/echo', params: { q: text }, data: { text, list: [...text] } });
		const units = [...text].map((c) => c.codePointAt(0)!.toString(16));
		return { text, data, length: text.length, units, up: text.toUpperCase(), reversed: [...text].reverse().join(''), [`key ${text}`]: encodeURIComponent(text), json: JSON.stringify(text) };
	}
});
