import { createAction } from 'nango';
import { z } from 'zod';

const SlackResponse = z.discriminatedUnion('ok', [
	z.object({ ok: z.literal(true), channel: z.string(), ts: z.string().regex(/^\d+\.\d{6}$/), message: z.object({ text: z.string() }).passthrough() }),
	z.object({ ok: z.literal(false), error: z.string(), needed: z.string().optional(), response_metadata: z.object({ messages: z.array(z.string()) }).optional() })
]);

const KNOWN: Readonly<Record<string, string>> = Object.freeze({ channel_not_found: 'The channel does not exist', not_in_channel: 'The app must be invited first', missing_scope: 'A scope is missing' });

export default createAction({
	description: 'Post a message of blocks',
	version: '1.0.0',
	input: z.object({ channel: z.string(), title: z.string(), fields: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])), thread_ts: z.string().optional() }),
	output: z.object({ ts: z.string(), at: z.string(), channel: z.string() }),
	exec: async (nango, { channel, title, fields, thread_ts }) => {
		const escape = (text: string) => text.replace(/[&<>]/g, (c) => `&${{ '&': 'amp', '<': 'lt', '>': 'gt' }[c]};`);
		const chunks = Object.entries(fields).reduce<string[][]>((rows, [name, value], index) => {
			if (index % 2 === 0) rows.push([]);
			rows.at(-1)!.push(`*${escape(name)}*\n${value === null ? '–' : escape(`${value}`)}`);
			return rows;
		}, []);
		const blocks = [
			{ type: 'header', text: { type: 'plain_text', text: [...title].slice(0, 12).join(''), emoji: true } },
			...chunks.map((row) => ({ type: 'section', fields: row.map((text) => ({ type: 'mrkdwn', text })) })),
			{ type: 'divider' }
		];
		const { data } = await nango.post({ endpoint: '/chat.postMessage', data: { channel, text: title, blocks, ...(thread_ts ? { thread_ts } : {}) }, headers: { 'Content-Type': 'application/json; charset=utf-8' } });
		const answer = SlackResponse.parse(data);
		if (!answer.ok) throw new nango.ActionError({ type: answer.error, message: KNOWN[answer.error] ?? `Slack said ${answer.error}`, ...(answer.needed && { needed: answer.needed.split(',') }), details: answer.response_metadata?.messages });
		return { ts: answer.ts, at: new Date(parseFloat(answer.ts) * 1000).toISOString(), channel: answer.channel };
	}
});
