import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Bodies of every kind, with the content types that decide what they become',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const post = (data: any, type?: string) => nango.post({ endpoint: '/body', data, ...(type && { headers: { 'CONTENT-type': type } }) });
		const form = 'application/x-www-form-urlencoded; charset=utf-8';
		const bytes = new Uint8Array([0, 1, 250, 255]);
		await post(bytes.buffer, 'application/octet-stream');
		await post(new Uint8Array([7, 8]), 'application/octet-stream');
		await post(Buffer.from('buffer ü'));
		await post({ a: { b: [1, [2, 3], { c: 4 }], d: { e: null, f: undefined } }, at: new Date(0), yes: true, odd: 'a[b]=c&d e', 'plus+': '+' }, form);
		await post({ list: [{ a: 1 }, { a: 2 }], 'tags[]': ['x', 'y'], empty: [], none: {}, 'json{}': { k: [1] } }, form);
		await post([['k', 'v']], form);
		await post({ name: 'ü"x', deep: { list: [1, 2], at: new Date(0) }, list: ['p', 'q'], things: [{ a: 1 }], yes: true, n: 1.5, none: null }, 'multipart/form-data; boundary=mine');
		await post('a=1&b=2', form);
		const refused: unknown[] = [];
		for (const [data, type] of [[42], [42, 'text/plain'], [true, 'application/xml'], [Symbol.iterator.toString().length > 0]] as [any, string?][]) {
			try {
				refused.push((await post(data, type)).status);
			} catch (error: any) {
				refused.push([error.name, error.code, error.message, error.isAxiosError, error.response ?? null]);
			}
		}
		await post({ text: 'in any type' }, 'text/plain');
		await post([1, 2], 'application/xml');
		await post('<a/>', 'application/xml');
		await post('line', 'application/json; charset=utf-8');
		await nango.patch({ endpoint: '/body', data: new URLSearchParams('a=1&a=2'), headers: { 'content-type': 'text/plain' } });
		await nango.delete({ endpoint: '/body', data: 'text' });
		await nango.delete({ endpoint: '/body', data: Buffer.from('x') });
		return refused;
	}
});
