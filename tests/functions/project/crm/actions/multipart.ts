import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'A multipart body written by hand',
	input: z.object({ name: z.string(), content: z.string() }),
	output: z.any(),
	exec: async (nango, { name, content }) => {
		const boundary = '----boundary42';
		const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: application/octet-stream\r\n\r\n`;
		const data = Buffer.concat([Buffer.from(head), Buffer.from(content, 'base64'), Buffer.from(`\r\n--${boundary}--\r\n`)]);
		const { data: answer } = await nango.post({ endpoint: '/upload', headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` }, data });
		return { answer, size: data.length };
	}
});
