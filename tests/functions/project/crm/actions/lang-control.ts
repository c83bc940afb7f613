import { createAction } from 'nango';
import * as z from 'zod';

enum Stage {
	Lead = 'lead',
	Won = 'won'
}
const enum Level {
	Low,
	High = 5
}
enum Numeric {
	A,
	B = 4,
	C
}

export default createAction({
	description: 'Control flow: labels, switch, closures, destructuring, finally',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const out: unknown[] = [];
		outer: for (let i = 0; i < 4; i++) {
			for (let j = 0; j < 4; j++) {
				if (j === 2) continue outer;
				if (i === 2) break outer;
				out.push(i * 10 + j);
			}
		}
		const closures = [];
		for (let i = 0; i < 3; i++) closures.push(() => i);
		const kind = (value: unknown) => {
			switch (typeof value) {
				case 'string':
				case 'number':
					return 'scalar';
				case 'object':
					if (value === null) break;
					return 'object';
				default:
					return 'other';
			}
			return 'null';
		};
		const nested = () => {
			try {
				throw new Error('first');
			} catch {
				return 'caught';
			} finally {
				out.push('finally');
			}
		};
		const { a: { b: [, second = 'none'] = [] } = {}, c: renamed = 3, ...others } = { a: { b: ['x'] }, d: 4, e: 5 } as any;
		let x = 1;
		let y = 2;
		[x, y] = [y, x];
		function defaults(p = 1, { q = p + 1, r = [] as number[] } = {}, ...more: number[]) {
			return [p, q, r, more];
		}
		let loops = 0;
		do loops++;
		while (loops < 3);
		const keys: string[] = [];
		for (const key in { one: 1, two: 2 }) keys.push(key);
		return {
			out,
			closures: closures.map((f) => f()),
			kinds: ['', 1, {}, null, undefined].map(kind),
			nested: nested(),
			second,
			renamed,
			others,
			swapped: [x, y],
			defaults: [defaults(), defaults(5, { r: [1] }, 7, 8), defaults(undefined, undefined, 1)],
			loops,
			keys,
			enums: [Stage.Won, Level.High, Numeric.C, Numeric[4], Object.values(Stage)],
			exponent: 2 ** 3 ** 2,
			nullish: [(null as any) ?? 'n', (0 as any) ?? 'n', (0 as any) || 'o'],
			void: typeof void 0,
			type: [typeof null, typeof (() => 1), typeof Symbol(), typeof undefined],
			iife: (function (this: any) {
				return typeof this;
			}).call(undefined)
		};
	}
});
