import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Heads of for loops: in, commas, several variables',
	input: z.object({ row: z.record(z.string(), z.any()) }),
	output: z.any(),
	exec: async (_nango, { row }) => {
		const out: unknown[] = [];
		for (const value of 'tags' in row ? row['tags'] : Object.values(row)) out.push(value);
		for (const key of Object.keys('owner' in row ? row['owner'] : {})) out.push(key);
		for (const flag of [['id' in row], ['none' in row]]) out.push(flag);
		for (let i = 0, has = ('id' in row), end = [0, 1, 2].filter((n) => Object.hasOwn([1, 1], n)).length; i < end; i++) out.push([i, has]);
		for (let at = (() => 'x' in row)() ? 1 : 2, step = { by: 'id' in row ? 1 : 0 }; at < 4; at += step.by || 1) out.push(at);
		for (const key in { ...('id' in row && { id: 1 }), other: 2 }) out.push(key);
		for await (const value of [Promise.resolve('id' in row)]) out.push(value);
		return out;
	}
});
