import { createAction } from 'nango';
import * as z from 'zod';

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', nbsp: '\u00a0' };

export default createAction({
	description: 'Text of an HTML mail',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const { data } = await nango.get<string>({ endpoint: '/mail.html' });
		const text = data
			.replace(/<(script|style)[\s\S]*?<\/\1>/gi, '')
			.replace(/<br\s*\/?>|<\/p>/gi, '\n')
			.replace(/<[^>]+>/g, '')
			.replace(/&(#x?[0-9a-f]+|\w+);/gi, (whole, code: string) => {
				if (code[0] !== '#') return ENTITIES[code.toLowerCase()] ?? whole;
				return String.fromCodePoint(code[1]?.toLowerCase() === 'x' ? parseInt(code.slice(2), 16) : parseInt(code.slice(1), 10));
			})
			.split('\n')
			.map((line) => line.trim())
			.filter((line, i, all) => line || all[i - 1])
			.join('\n')
			.trim();
		const links = Array.from(data.matchAll(/<a\b[^>]*\bhref="([^"]*)"/gi), ([, href]) => new URL(href!, 'https://mail.example/inbox/').href);
		return { text, links, words: text.match(/\p{L}+/gu)?.length ?? 0 };
	}
});
