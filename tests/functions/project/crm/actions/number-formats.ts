import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Numbers as JSON and text have them',
	input: z.object({ numbers: z.array(z.any()) }),
	output: z.any(),
	exec: async (nango, { numbers }) => {
		const { data } = await nango.post<any>({ endpoint: '/numbers', data: { numbers, own: [1e21, 1e-7, -0, 0.1 + 0.2, 100, 1e100, 2 ** 31, 123456.789e3] }, params: { n: numbers[0], f: 0.1, big: 1e21 } as any });
		return { numbers, data, texts: numbers.map(String), fixed: numbers.map((n) => [Number(n).toFixed(2), Number(n).toPrecision(4), Number(n).toExponential(3), Number(n).toString(36)]), parsed: ['1e3', ' 7 ', '0x1f', '1,5', '', 'Infinity', '-.5', '1_0', '0b11'].map((t) => [Number(t), parseFloat(t), parseInt(t, 10)]), rounded: [0.5, 1.5, 2.5, -0.5, 1.005 * 100].map(Math.round) };
	}
});
