import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Regular expressions',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const text = 'Order #123 for a@b.co, order #45 for "x y"@d.org on 2024-01-05.';
		return {
			all: [...text.matchAll(/order #(\d+)/gi)].map((m) => [m[0], m[1], m.index]),
			match: text.match(/\d+/g),
			none: text.match(/zzz/) ?? 'none',
			replace: text.replace(/#(\d+)/g, (whole, n, at) => `<${n}@${at}:${whole.length}>`),
			dollar: 'a-b'.replace(/(a)-(b)/, '$2-$1 $& $$ $`|'),
			replaceAll: 'a.b.c'.replaceAll('.', '/'),
			split: ['a1b22c'.split(/\d+/), 'a1b22c'.split(/(\d)/), 'abc'.split(''), 'a,b,c'.split(',', 2)],
			date: /(\d{4})-(\d{2})-(\d{2})/.exec(text)?.slice(1, 4),
			unicode: ['Žluťoučký kůň'.replace(/[^\p{L}\s]/gu, '').length, /^\u{1F600}$/u.test('😀'), 'x😀y'.replace(/./gu, '.')],
			multi: 'one\ntwo'.match(/^t\w+$/m)?.[0],
			dotAll: /one.two/s.test('one\ntwo'),
			flags: /a/gi.flags,
			source: new RegExp('a/b').source,
			escaped: 'a.b*c'.replace(new RegExp('[.*+?^${}()|[\\]\\\\]', 'g'), '\\$&'),
			lookahead: '1234567'.replace(/\B(?=(\d{3})+(?!\d))/g, ','),
			search: text.search(/@/),
			slug: 'Héllo, Wörld & Co!'.normalize('NFD').replace(/[\u0300-\u036f]/g, '').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/(^-|-$)/g, ''),
			empty: 'abc'.replace(/x*/g, '-'),
			backref: /(\w)\1/.test('hello')
		};
	}
});
