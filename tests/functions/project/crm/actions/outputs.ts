import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Outputs of every kind',
	input: z.object({ kind: z.string() }),
	output: z.any(),
	exec: async (_nango, { kind }): Promise<any> => {
		const kinds: Record<string, () => unknown> = {
			undefined: () => undefined,
			null: () => null,
			false: () => false,
			zero: () => 0,
			empty: () => '',
			text: () => 'ünï',
			number: () => 1.5,
			list: () => [undefined, () => 1, Symbol('x'), NaN],
			date: () => new Date(0),
			map: () => new Map([['a', 1]]),
			buffer: () => Buffer.from('é'),
			toJSON: () => ({ toJSON: (key: string) => `json${key}` }),
			getter: () => Object.defineProperty({ own: 1 }, 'hidden', { value: 2 }),
			instance: () => new (class Point { x = 1; get y() { return 2; } })(),
			error: () => new Error('as a value'),
			separators: () => '\u2028'
		};
		return kinds[kind]!();
	}
});
