import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Text beyond ASCII',
	input: z.object({ text: z.string() }),
	output: z.any(),
	exec: async (nango, { text }) => {
		const { data } = await nango.post({ endpoint: '/echo', data: { text }, params: { text }, headers: { 'x-text': encodeURIComponent(text) } });
		await nango.log(`text ${text.replace(/[\u0000-\u001f]/g, '')}`, { level: 'warn' });
		return {
			data,
			length: text.length,
			points: [...text].length,
			codes: Array.from(text, (c) => c.codePointAt(0)!.toString(16)),
			upper: text.toUpperCase(),
			lower: 'İSTANBUL ΑΣ'.toLowerCase(),
			nfc: 'e\u0301'.normalize() === '\u00e9',
			nfd: 'é'.normalize('NFD').length,
			stripped: 'Crème Brûlée Ñandú'.normalize('NFD').replace(/[\u0300-\u036f]/g, ''),
			from: String.fromCodePoint(0x1f600, 97),
			bytes: Buffer.byteLength(text),
			base64: Buffer.from(text).toString('base64'),
			back: Buffer.from(Buffer.from(text).toString('hex'), 'hex').toString('utf8') === text,
			uri: encodeURIComponent(text),
			slice: text.slice(0, 2),
			at: text.at(-1),
			padded: 'é'.padStart(4, '·') + 'x'.padEnd(3, 'ab'),
			emojiRegex: /😀/.test(text),
			key: { [text]: 1 }
		};
	}
});
