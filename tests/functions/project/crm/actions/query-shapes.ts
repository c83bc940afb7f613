import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Parameters of every shape',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const send = async (endpoint: string, params: any) => (await nango.get({ endpoint, params })).data;
		return [
			await send('/q', { a: 'x y', b: 'ü&=?#', c: 'a+b', d: "it's", e: '100%' }),
			await send('/q', { when: '2024-01-05T10:00:00.000Z', list: 'a,b', path: '/x/y', tilde: '~*()!' }),
			await send('/q', { n: 5, f: 1.5, big: 1e21, yes: true, no: false }),
			await send('/q', '?raw=1&also=%20'),
			await send('/q', 'filter=a:b'),
			await send('/q?keep=1&x=old', { x: 'new' }),
			await send('/q?q=a:b,c', {}),
			await send('/q?q=a:b,c', { d: 1 }),
			await send('/q', {})
		];
	}
});
