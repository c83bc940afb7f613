import { createHash } from 'node:crypto';
import { createSync } from 'nango';
import * as z from 'zod';

const File = z.object({ id: z.string(), name: z.string(), type: z.string(), size: z.number(), content: z.string(), sum: z.string() });

export default createSync({
	description: 'Downloads files and keeps them as base64',
	frequency: 'every day',
	autoStart: false,
	models: { File },
	exec: async (nango) => {
		const { data: list } = await nango.get<any[]>({ endpoint: '/files' });
		for (const file of list) {
			const response = await nango.get<any>({ endpoint: `/files/${encodeURIComponent(file.name)}`, responseType: 'arraybuffer', params: { alt: 'media' } });
			const bytes = Buffer.from(response.data);
			await nango.batchSave([{ id: file.id, name: file.name, type: response.headers['content-type'] ?? 'application/octet-stream', size: bytes.length, content: bytes.toString('base64'), sum: createHash('sha1').update(bytes).digest('hex') }], 'File');
		}
	}
});
