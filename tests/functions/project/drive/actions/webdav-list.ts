import { createAction } from 'nango';
import { z } from 'zod';

const decodeEntities = (text: string) => text.replace(/&#x([0-9a-f]+);|&#(\d+);|&(\w+);/gi, (all, hex, dec, name) => (hex ? String.fromCodePoint(parseInt(hex, 16)) : dec ? String.fromCodePoint(+dec) : ((<Record<string, string>>{ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" })[name] ?? all)));
const tag = (xml: string, name: string): string | undefined => new RegExp(`<(?:\\w+:)?${name}\\b[^>]*>([\\s\\S]*?)</(?:\\w+:)?${name}>`, 'i').exec(xml)?.[1];

export default createAction({
	description: 'Files out of an XML listing',
	version: '1.0.0',
	input: z.object({ folder: z.string() }),
	output: z.any(),
	exec: async (nango, { folder }) => {
		const response = await nango.get<string>({ endpoint: `/remote.php/dav/files/${folder.split('/').map(encodeURIComponent).join('/')}`, headers: { Accept: 'application/xml', Depth: '1' }, responseType: 'text' });
		if (typeof response.data !== 'string') throw new nango.ActionError({ message: `expected text, got ${typeof response.data}` });
		const entries = response.data.split(/<\/(?:\w+:)?response>/i).slice(0, -1);
		return entries.map((xml) => ({
			path: decodeURIComponent(decodeEntities(tag(xml, 'href') ?? '')),
			modified: tag(xml, 'getlastmodified') ? new Date(tag(xml, 'getlastmodified')!).toISOString() : null,
			size: Number(tag(xml, 'getcontentlength') ?? 0),
			etag: decodeEntities(tag(xml, 'getetag') ?? '').replace(/"/g, ''),
			folder: /<(?:\w+:)?collection\s*\/>/.test(xml),
			note: tag(xml, 'note')?.match(/<!\[CDATA\[([\s\S]*?)\]\]>/)?.[1] ?? null
		}));
	}
});
