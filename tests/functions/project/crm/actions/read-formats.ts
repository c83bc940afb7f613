import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'XML, NDJSON, query strings and mails read by hand',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const xml = (await nango.get<string>({ endpoint: '/feed.xml' })).data;
		const decode = (text: string) => text.replace(/&(lt|gt|amp|quot|#x?[\da-f]+);/gi, (_, name: string) => (name[0] === '#' ? String.fromCodePoint(name[1] === 'x' ? parseInt(name.slice(2), 16) : Number(name.slice(1))) : { lt: '<', gt: '>', amp: '&', quot: '"' }[name.toLowerCase()]!));
		const items = [...xml.matchAll(/<item(?:\s+id="([^"]*)")?\s*>([\s\S]*?)<\/item>/g)].map(([, id, inner]) => ({ id: id ?? null, ...Object.fromEntries([...inner!.matchAll(/<(\w+)>(?:<!\[CDATA\[([\s\S]*?)\]\]>|([^<]*))<\/\1>/g)].map(([, tag, cdata, text]) => [tag, cdata ?? decode(text!)])) }));
		const lines = (await nango.get<string>({ endpoint: '/events.ndjson', responseType: 'text' })).data.trim().split('\n').map((line) => JSON.parse(line));
		const mail = (await nango.get<string>({ endpoint: '/mail.eml' })).data;
		const [head = '', ...body] = mail.split('\r\n\r\n');
		const headers = head.replace(/\r\n[ \t]+/g, ' ').split('\r\n').map((line) => line.split(/:\s*/, 2));
		const subject = headers.find(([name]) => name === 'Subject')?.[1]?.replace(/=\?utf-8\?B\?([^?]+)\?=/gi, (_, text) => Buffer.from(text, 'base64').toString('utf8'));
		const quoted = body.join('\r\n\r\n').replace(/=\r\n/g, '').replace(/=([\dA-F]{2})/g, (_, h) => String.fromCharCode(parseInt(h, 16)));
		return { items, lines, headers, subject, body: Buffer.from(quoted, 'latin1').toString('utf8'), query: Object.fromEntries(new URLSearchParams('a=1&b=%C3%BC+x&a=2')) };
	}
});
