import { createAction } from 'nango';
import { z } from 'zod';

const Address = z.object({ name: z.string().optional(), email: z.email() });
const Input = z.object({ from: Address, to: z.array(Address).nonempty(), cc: z.array(Address).optional(), subject: z.string(), text: z.string().optional(), html: z.string().optional(), headers: z.record(z.string().regex(/^[\w-]+$/), z.string()).optional(), attachments: z.array(z.object({ filename: z.string(), content: z.base64() })).default([]) });

const encodeWord = (text: string) => (/^[\x20-\x7e]*$/.test(text) ? text : `=?UTF-8?B?${Buffer.from(text).toString('base64')}?=`);
const format = ({ name, email }: z.infer<typeof Address>) => (name ? `${encodeWord(name)} <${email}>` : email);
const base64url = (text: string) => Buffer.from(text, 'utf8').toString('base64').replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

export default createAction({
	description: 'Send a mail as a raw message',
	version: '1.0.0',
	input: Input,
	output: z.object({ id: z.string(), threadId: z.string(), raw: z.string() }),
	exec: async (nango, raw) => {
		const input = Input.parse(raw);
		const lines = [
			`From: ${format(input.from)}`,
			`To: ${input.to.map(format).join(', ')}`,
			...(input.cc?.length ? [`Cc: ${input.cc.map(format).join(', ')}`] : []),
			`Subject: ${encodeWord(input.subject)}`,
			'MIME-Version: 1.0',
			...Object.entries(input.headers ?? {}).map(([name, value]) => `${name}: ${value}`)
		];
		const body = input.html ?? input.text ?? '';
		const type = `text/${input.html !== undefined ? 'html' : 'plain'}; charset="UTF-8"`;
		if (input.attachments.length === 0) lines.push(`Content-Type: ${type}`, '', body);
		else {
			lines.push('Content-Type: multipart/mixed; boundary="b1"', '', '--b1', `Content-Type: ${type}`, '', body);
			for (const { filename, content } of input.attachments) {
				lines.push('--b1', `Content-Disposition: attachment; filename="${encodeWord(filename)}"`, 'Content-Transfer-Encoding: base64', '', ...(content.match(/.{1,76}/g) ?? []));
			}
			lines.push('--b1--');
		}
		const message = lines.join('\r\n');
		const { data } = await nango.post({ endpoint: '/gmail/v1/users/me/messages/send', data: { raw: base64url(message) } });
		return { id: data.id, threadId: data.threadId, raw: message };
	}
});
