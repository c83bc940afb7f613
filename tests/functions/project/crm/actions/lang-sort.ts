import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Sorting: stable, by locale, by numbers, with holes',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const rows = Array.from({ length: 40 }, (_, i) => ({ group: i % 3, i }));
		const names = ['Zoë', 'zebra', 'Ärger', 'apple', 'Éclair', 'eclair', 'Öl', 'ol', 'a-b', 'ab', 'A', 'a', '10', '9', '_x', 'ñ', 'n', 'Z', ' lead'];
		const holes: any[] = [3, undefined, 1, , 2];
		return {
			stable: [...rows].sort((a, b) => a.group - b.group).map((row) => row.i),
			locale: [...names].sort((a, b) => a.localeCompare(b)),
			codeUnits: [...names].sort(),
			numbers: [10, 9, 1, 100, -5].sort(),
			numeric: ['item10', 'item9', 'item1'].sort((a, b) => a.localeCompare(b, undefined, { numeric: true })),
			base: ['a', 'B', 'A', 'b'].sort((a, b) => a.localeCompare(b, 'en', { sensitivity: 'base' })),
			equal: 'résumé'.localeCompare('resume', 'en', { sensitivity: 'base' }),
			holes: JSON.stringify(holes.sort()),
			dates: ['2024-02-01', '2023-12-31'].sort((a, b) => +new Date(b) - +new Date(a)),
			toSorted: typeof ([] as any).toSorted
		};
	}
});
