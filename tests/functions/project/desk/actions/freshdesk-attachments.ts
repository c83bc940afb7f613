import { createAction } from 'nango';
import { z } from 'zod';

export default createAction({
	description: 'Reply with attachments as a form',
	version: '1.0.0',
	input: z.object({ ticketId: z.number(), body: z.string(), files: z.array(z.object({ name: z.string(), type: z.string(), base64: z.string() })) }),
	output: z.object({ id: z.string(), bytes: z.number() }),
	exec: async (nango, input) => {
		const boundary = `----form${input.ticketId.toString(16).padStart(8, '0')}`;
		const crlf = '\r\n';
		const parts: Buffer[] = [];
		const push = (text: string) => parts.push(Buffer.from(text, 'utf-8'));
		push(`--${boundary}${crlf}Content-Disposition: form-data; name="body"${crlf}${crlf}${input.body}${crlf}`);
		for (const file of input.files) {
			push(`--${boundary}${crlf}Content-Disposition: form-data; name="attachments[]"; filename="${encodeURIComponent(file.name)}"${crlf}Content-Type: ${file.type}${crlf}${crlf}`);
			parts.push(Buffer.from(file.base64, 'base64'));
			push(crlf);
		}
		push(`--${boundary}--${crlf}`);
		const payload = Buffer.concat(parts);
		const response = await nango.post({
			endpoint: `/api/v2/tickets/${input.ticketId}/reply`,
			data: payload,
			headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}`, 'X-Length': payload.byteLength.toString() },
			retries: 0
		});
		return { id: `${response.data.id}`, bytes: payload.length };
	}
});
