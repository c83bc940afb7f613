import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'multipart/form-data written by hand',
	input: z.object({ name: z.string(), content: z.string() }),
	output: z.any(),
	exec: async (nango, { name, content }) => {
		const boundary = 'part-7d1a';
		const parts = [
			`--${boundary}\r\nContent-Disposition: form-data; name="meta"\r\nContent-Type: application/json\r\n\r\n${JSON.stringify({ name, size: content.length })}\r\n`,
			`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${encodeURIComponent(name)}"\r\nContent-Type: application/octet-stream\r\n\r\n`
		];
		const body = Buffer.concat([...parts.map((part) => Buffer.from(part)), Buffer.from(content, 'base64'), Buffer.from(`\r\n--${boundary}--\r\n`)]);
		const { status, data } = await nango.post<any>({ endpoint: '/upload/parts', data: body as any, headers: { 'Content-Type': `multipart/related; boundary=${boundary}`, 'X-Length': String(body.length) } });
		return { status, data };
	}
});
