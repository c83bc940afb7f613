import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Numbers as texts, texts as numbers',
	input: z.any(),
	output: z.any(),
	exec: async (nango, input) => {
		const { data } = await nango.get({ endpoint: '/numbers' });
		return {
			input,
			data,
			long: [9007199254740993, 2 ** 53 + 2, 12345678901234567890, 0.1 + 0.2, 1e21, 1e-7, 123456789.123456789, 5e-324, 1.7976931348623157e308],
			fixed: [(1.005).toFixed(2), (1234.5678).toFixed(1), (0).toFixed(2), (-1.5).toFixed(0), (1e21).toFixed(2), (2.5).toFixed(0), (1.45).toFixed(1)],
			radix: [(255).toString(16), (0.5).toString(2), parseInt('0x1f', 16), parseInt('12px', 10), Number('12px'), Number(''), Number(' 7 '), Number('1e3'), Number('0b11'), Number(null), Number(undefined)].map(String),
			precision: [(123.456).toPrecision(4), (0.000123).toExponential(2), (1e21).toPrecision(3)],
			checks: [Number.isInteger(5.0), Number.isSafeInteger(2 ** 53), Number.EPSILON > 0, Number.MAX_SAFE_INTEGER, Object.is(-0, 0), Number.parseFloat('3.14abc')],
			math: [Math.trunc(-4.7), Math.sign(-3), Math.cbrt(27), Math.hypot(3, 4), Math.log2(8), Math.round(-0.5), Math.round(2.5), Math.max(), Math.min(...[3, 1, 2]), Math.fround(5.5), Math.clz32(1)].map((n) => (Object.is(n, -0) ? '-0' : String(n))),
			separators: 1_000_000,
			modulo: [-7 % 3, 2 ** 10, 7 / 2 | 0, ~~-3.7, 1 << 31, -1 >>> 0],
			cents: Math.round(19.99 * 100),
			local: (1234567.891).toLocaleString === undefined
		};
	}
});
