import { createAction } from 'nango';
import * as url from 'url';
import * as z from 'zod';

const texts = [
	'http://user:p%40ss@Example.COM:8080/a/b?x=1&y=2#end', 'https://example.com', '/a/b?c=d', 'a?b#c', '//host/path', 'mailto:ada@example.org',
	'https://example.com?q=%C3%A9', 'ftp://[::1]:21/x', '', '?only=query', '#only'
];
const objects = [
	{ protocol: 'https', host: 'example.com', pathname: 'a b', query: { x: 1, y: 'zwei' } }, { hostname: 'h', port: 80, slashes: true },
	{ protocol: 'https:', hostname: 'h', auth: 'u:p', search: 'a=b', hash: 'c' }, { pathname: '/p?q#r' }
];
const pairs = [['https://example.com/a/b', '../c'], ['/one/two/three', 'four'], ['http://example.com/one', '/two?x#y'], ['http://example.com/', 'https://other.org/z']];

export default createAction({
	description: 'parse, format and resolve of url',
	input: z.object({}),
	output: z.any(),
	exec: async () => ({
		parsed: texts.map((text) => ({ ...url.parse(text) })),
		queries: texts.slice(0, 3).map((text) => ({ ...(url.parse(text, true).query as object) })),
		formatted: [...objects.map((each) => url.format(each as any)), url.format(new URL('https://example.com/é?a=b')), url.format('HTTP://EXAMPLE.com/x y')],
		resolved: pairs.map(([from, to]) => url.resolve(from!, to!))
	})
});
