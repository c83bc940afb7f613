import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Large and deep JSON in and out',
	input: z.object({ depth: z.number(), rows: z.number() }),
	output: z.any(),
	exec: async (nango, { depth, rows }) => {
		let deep: any = { leaf: '🍃' };
		for (let i = 0; i < depth; i++) deep = i % 2 ? [deep] : { in: deep };
		const list = Array.from({ length: rows }, (_, i) => ({ id: i, name: `Žofie ${i} 😀`, tags: ['a', 'b'], nested: { x: i / 3, y: null } }));
		const { data } = await nango.post<any>({ endpoint: '/bulk', data: { list, deep } });
		return { echoed: data.ok, bytes: JSON.stringify(list).length, last: list[rows - 1], deep };
	}
});
