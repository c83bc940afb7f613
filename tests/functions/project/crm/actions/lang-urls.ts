import { createAction } from 'nango';
import * as z from 'zod';
import { URL as NodeUrl } from 'url';

export default createAction({
	description: 'URL and URLSearchParams',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const url = new URL('../b/./c?x=1&y=ü#frag', 'https://user:p%40ss@Example.COM:443/a/d/e');
		url.searchParams.append('z', 'a b+c');
		url.searchParams.delete('x');
		const other = new URL('http://localhost:8080');
		other.pathname = '/päth/with space';
		other.search = '?q=a b&r[]=1';
		other.hash = 'h';
		other.port = '80';
		const invalid = (text: string) => {
			try {
				return new URL(text).href;
			} catch (error: any) {
				return [error.name, error.code];
			}
		};
		const params = new URLSearchParams('a=1&b=2&a=3&empty=&novalue&enc=%E2%82%AC+x');
		params.set('b', 'new');
		params.append('c', '~*-._()!\'');
		return {
			parts: [url.href, url.origin, url.host, url.hostname, url.port, url.pathname, url.search, url.hash, url.username, url.password, url.protocol],
			other: [other.href, String(other), JSON.stringify({ other })],
			invalid: [invalid('nope'), invalid('//x'), invalid('http://'), invalid('http://a b/'), invalid('https://例え.jp/パス'), invalid('HTTP://EX.com:80/%7Efoo/../x'), invalid('http://[::1]:3000/'), invalid('mailto:a@b.c')],
			can: [(URL as any).canParse('https://a'), (URL as any).canParse('a')],
			params: [params.toString(), params.get('a'), params.getAll('a'), params.get('enc'), params.has('novalue'), params.get('nope'), [...params.keys()].length],
			object: Object.fromEntries(new URLSearchParams({ k: 'v', n: 5 as any })),
			pairs: new URLSearchParams([['q', 'x y'], ['r', '&=']]).toString(),
			joined: new URL('/v1/items', 'https://api.example.com/base/').toString(),
			same: NodeUrl === URL,
			next: new URL('https://a.example/list?page=2').searchParams.get('page')
		};
	}
});
