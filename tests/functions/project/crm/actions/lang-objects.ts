import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Object methods, spread, getters, computed keys',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const source = { b: 1, a: { deep: [1] }, 10: 'ten', 2: 'two', [Symbol('hidden')]: 1 };
		const { a, ...rest } = source;
		const made = {
			first: 'Ada',
			last: 'Lovelace',
			get full() {
				return `${this.first} ${this.last}`;
			},
			set full(value: string) {
				[this.first, this.last] = value.split(' ') as [string, string];
			},
			['dyn' + 1]: true,
			__proto__: { inherited: 1 }
		};
		made.full = 'Grace Hopper';
		const frozen = Object.freeze({ x: 1 });
		let refused = '';
		try {
			(frozen as any).x = 2;
		} catch (error) {
			refused = (error as Error).name;
		}
		const dirty = JSON.parse('{"__proto__":{"polluted":true},"constructor":1}');
		return {
			order: Object.keys(source),
			entries: Object.entries(rest),
			values: Object.values({ x: 1, y: [2] }),
			back: Object.fromEntries(Object.entries({ k: 1, l: 2 }).map(([key, value]) => [key.toUpperCase(), value * 2])),
			a,
			made: { ...made },
			json: JSON.stringify(made),
			inherited: 'inherited' in made && !Object.hasOwn(made, 'inherited'),
			refused,
			polluted: ({} as any).polluted ?? 'no',
			ownProto: Object.keys(dirty),
			merged: Object.assign({ z: 0 }, null, { y: 1 }, { z: 2 }),
			names: Object.getOwnPropertyNames({ q: 1 }),
			is: [Object.is(NaN, NaN), Object.is(0, -0)],
			optional: [(source as any)?.nope?.deep ?? 'fallback', (source as any).fn?.() ?? 'not called', (null as any)?.[0] ?? 1],
			assign: (() => {
				const o: any = { n: null, z: 0, t: 1 };
				o.n ??= 5;
				o.z ||= 6;
				o.t &&= 7;
				return o;
			})(),
			deleteIt: (() => {
				const o: any = { p: 1, q: 2 };
				delete o.p;
				return o;
			})(),
			grouped: structuredCloneLike({ a: [1, { b: new Date(0) }] })
		};
	}
});

function structuredCloneLike<T>(value: T): T {
	return JSON.parse(JSON.stringify(value));
}
