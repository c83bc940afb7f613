import { createHash } from 'node:crypto';
import { createAction } from 'nango';
import { z } from 'zod';

// Header values must be ASCII: everything else is escaped.
const headerSafe = (value: unknown) => JSON.stringify(value).replace(/[\u007f-\uffff]/g, (c) => '\\u' + ('000' + c.charCodeAt(0).toString(16)).slice(-4));

function contentHash(bytes: Buffer, block = 8): string {
	const sums: Buffer[] = [];
	for (let at = 0; at < bytes.length; at += block) sums.push(createHash('sha256').update(bytes.subarray(at, at + block)).digest());
	return createHash('sha256').update(Buffer.concat(sums)).digest('hex');
}

export default createAction({
	description: 'Upload a file as bytes',
	version: '1.0.0',
	input: z.object({ path: z.string().startsWith('/'), content: z.string(), mode: z.enum(['add', 'overwrite']).default('add') }),
	output: z.any(),
	exec: async (nango, input) => {
		const bytes = Buffer.from(input.content, 'base64');
		const response = await nango.post({
			baseUrlOverride: (await nango.getMetadata<{ content?: string }>())?.content ?? '',
			endpoint: '/2/files/upload',
			headers: { 'Dropbox-API-Arg': headerSafe({ path: input.path, mode: input.mode ?? 'add', mute: false }), 'Content-Type': 'application/octet-stream' },
			data: bytes
		});
		return { hash: contentHash(bytes), rev: response.data.rev, arg: headerSafe(input.path), len: Buffer.byteLength(input.content, 'utf8') };
	}
});
