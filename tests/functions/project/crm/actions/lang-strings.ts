import { createAction } from 'nango';
import * as z from 'zod';

const tag = (parts: TemplateStringsArray, ...values: unknown[]) => parts.raw.join('|') + values.join(',');

export default createAction({
	description: 'String methods and templates',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const name = 'World';
		return {
			template: `Hello ${name}${`, nested ${1 + 1}`}!\u0041\x42`,
			tagged: tag`a${1}\n${2}c`,
			raw: String.raw`C:\new\${name}`,
			pad: ['7'.padStart(3, '0'), '7'.padEnd(3), 'abc'.padStart(2)],
			trim: ['  x '.trim(), '  x '.trimStart(), '  x '.trimEnd(), '\u00a0\ufeffx\u2003'.trim()],
			starts: ['abc'.startsWith('b', 1), 'abc'.endsWith('b', 2), 'abc'.includes('z')],
			repeat: 'ab'.repeat(3),
			at: ['abc'.at(-1), 'abc'.charAt(9), 'abc'.substring(2, 0), 'abc'.substr(-2, 1), 'abc'.slice(-2)],
			index: ['abcabc'.lastIndexOf('b'), 'abc'.indexOf('')],
			codes: ['ß'.toUpperCase(), 'ﬀ'.toUpperCase(), 'I'.toLocaleLowerCase()],
			compare: ['a' < 'B', 'a'.localeCompare('B') < 0, '2' > '10'],
			uri: [encodeURI('a b/ü?x=1&y=[z]'), decodeURIComponent('%C3%BC%20'), escape('ü'), unescape('%FC')],
			html: 'a<b&"c"'.replace(/[<&"]/g, (c) => ({ '<': '&lt;', '&': '&amp;', '"': '&quot;' })[c]!),
			camel: 'some_field_name'.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase()),
			snake: 'someFieldName'.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`),
			title: 'hello big world'.split(' ').map((w) => w[0]!.toUpperCase() + w.slice(1)).join(' '),
			wellFormed: typeof ('' as any).isWellFormed,
			concat: 'a'.concat('b', 1 as any),
			iter: [...'a😀'],
			number: ('5' + 3 as any) - 2
		};
	}
});
