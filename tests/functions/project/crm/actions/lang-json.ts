import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'JSON text and deep structures',
	input: z.any(),
	output: z.any(),
	exec: async (nango, input) => {
		const { data } = await nango.get({ endpoint: '/deep' });
		let depth = 0;
		for (let at = data; at && at.child; at = at.child) depth++;
		const thrown: string[] = [];
		const attempt = (name: string, make: () => unknown) => {
			try {
				make();
				thrown.push(`${name}: fine`);
			} catch (error) {
				thrown.push(`${name}: ${(error as Error).name}`);
			}
		};
		const circle: any = {};
		circle.self = circle;
		attempt('circle', () => JSON.stringify(circle));
		attempt('comma', () => JSON.parse('[1,]'));
		attempt('quote', () => JSON.parse("{'a':1}"));
		attempt('nothing', () => JSON.parse(undefined as any));
		return {
			depth,
			input,
			thrown,
			pretty: JSON.stringify({ a: [1, { b: 2 }], e: [], o: {} }, null, 2),
			filter: JSON.stringify({ a: 1, b: 2, c: { a: 3 } }, ['a', 'c']),
			replacer: JSON.stringify({ a: 1, secret: 2 }, (key, value) => (key === 'secret' ? undefined : value)),
			revived: JSON.parse('{"at":"2024-01-01T00:00:00.000Z","n":1}', (key, value) => (key === 'at' ? new Date(value).getTime() : value)),
			special: JSON.stringify(['\u2028\u2029', '\\u2028', '\b\f\n\r\t"\\', '\u007f', '/']),
			numbers: JSON.parse('[1e3, -0, 0.1, 9007199254740993, 1E-7, 123456789012345678901234567890]').map(String),
			dup: JSON.parse('{"a":1,"a":2}'),
			order: JSON.stringify(JSON.parse('{"z":1,"2":1,"a":1,"1":1}')),
			undefinedValue: String(JSON.stringify(undefined)),
			date: JSON.stringify(new Date(NaN))
		};
	}
});
