import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Array methods',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const list = [5, 3, 8, 1];
		const chunk = <T>(all: T[], size: number): T[][] => Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, i * size + size));
		return {
			find: [list.find((n) => n > 5), list.findIndex((n) => n > 100), list.findLast((n) => n > 2), list.includes(NaN as any), [NaN].includes(NaN), [NaN].indexOf(NaN)],
			flat: [[1, [2, [3, [4]]]].flat(), [1, [2, [3, [4]]]].flat(Infinity), [1, 2].flatMap((n) => [n, n * 2])],
			at: [list.at(-1), list.at(9) ?? null],
			entries: [...list.entries()],
			keys: [...Array(3).keys()],
			from: [Array.from('añ😀'), Array.from({ length: 3 }, (_, i) => i * i), Array.from(new Set([1, 1, 2])), Array.of(7, 8)],
			fill: new Array(3).fill(0),
			copy: [1, 2, 3, 4, 5].copyWithin(0, 3),
			chunk: chunk([1, 2, 3, 4, 5], 2),
			reduce: list.reduce<Record<string, number>>((all, n) => ({ ...all, [`k${n}`]: n }), {}),
			right: list.reduceRight((all, n) => all + n, ''),
			splice: (() => {
				const copy = [...list];
				return [copy.splice(1, 2, 9, 9, 9), copy];
			})(),
			some: [list.some((n) => n > 7), list.every(Number.isInteger), [].every(() => false)],
			join: [[1, null, undefined, 'x'].join('-'), String([1, [2, 3]])],
			concat: [0].concat(1, [2, 3] as any),
			last: [1, 2, 3, 2].lastIndexOf(2),
			isArray: [Array.isArray([]), Array.isArray({ length: 0 })],
			holes: JSON.stringify([, 1]),
			rev: [...list].reverse(),
			parse: ['1', '2', '3'].map(Number),
			intMap: ['10', '10', '10'].map(parseInt as any)
		};
	}
});
