import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Map, Set, WeakMap, WeakSet',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const frozen = Object.freeze({ id: 1 });
		const map = new Map<any, string>([[frozen, 'frozen'], [NaN, 'nan'], [0, 'zero'], ['0', 'text'], [null, 'null'], [undefined, 'undefined']]);
		map.set(-0, 'minus zero').delete('0');
		const seen: string[] = [];
		const walk = new Map([['a', 1], ['b', 2], ['c', 3]]);
		for (const [key, value] of walk) {
			seen.push(`${key}${value}`);
			if (key === 'a') walk.delete('b');
			if (key === 'c' && walk.size < 4) walk.set('d', 4);
		}
		const set = new Set(['b', 'a', 'b', 'c']);
		const weak = new WeakMap<object, number>([[frozen, 7]]);
		const key = {};
		const tagged = new WeakSet([key]);
		const groups = new Map<string, number[]>();
		for (const n of [1, 2, 3, 4]) {
			const name = n % 2 ? 'odd' : 'even';
			groups.set(name, [...(groups.get(name) ?? []), n]);
		}
		return {
			size: map.size,
			get: [map.get(frozen), map.get(NaN), map.get(0), map.has('0'), map.get(undefined)],
			seen,
			set: [...set],
			union: [...new Set([...set, 'd'])].join(),
			has: set.has('c') && !set.has('z'),
			deleted: [set.delete('a'), set.delete('a'), set.size],
			weak: [weak.get(frozen), weak.has({}), tagged.has(key)],
			keys: Object.keys(frozen),
			json: JSON.stringify([key, frozen, map, set]),
			object: Object.fromEntries(groups),
			entries: [...groups.entries()].map(([name, list]) => `${name}:${list}`),
			forEach: (() => {
				const out: unknown[] = [];
				set.forEach((value, again) => out.push(value === again));
				return out;
			})(),
			tags: [String(map), String(set), Object.prototype.toString.call(weak), map instanceof Map, typeof Map.prototype[Symbol.iterator]]
		};
	}
});
