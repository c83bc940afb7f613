import { createAction } from 'nango';
import { z } from 'zod';

interface Event {
	event: string;
	data: any;
}

const parseEvents = (text: string): Event[] =>
	text
		.split(/\r?\n\r?\n/)
		.filter((block) => block.trim())
		.map((block) => {
			const fields = block.split(/\r?\n/).filter((line) => !line.startsWith(':')).map((line) => /^(\w+):\s?(.*)$/s.exec(line)).filter((m): m is RegExpExecArray => m !== null);
			const get = (name: string) => fields.filter(([, key]) => key === name).map(([, , value]) => value).join('\n');
			return { event: get('event') || 'message', data: JSON.parse(get('data') || 'null') };
		});

export default createAction({
	description: 'Server-sent events read as text',
	version: '1.0.0',
	input: z.object({ prompt: z.string() }),
	output: z.any(),
	exec: async (nango, { prompt }) => {
		const response = await nango.post<string>({ endpoint: '/v1/messages', data: { model: 'm', max_tokens: 10, stream: true, messages: [{ role: 'user', content: [{ type: 'text', text: prompt }] }] }, headers: { 'anthropic-version': '2023-06-01', Accept: 'text/event-stream' }, responseType: 'text' });
		const events = parseEvents(response.data);
		const text = events.filter(({ event }) => event === 'content_block_delta').map(({ data }) => data.delta.text).join('');
		const usage = events.reduce((sum, { data }) => ({ ...sum, ...data?.usage, ...data?.message?.usage }), {} as Record<string, number>);
		return { text, usage, order: events.map((e) => e.event).filter((name, i, list) => name !== list[i - 1]), graphemes: [...text].length, units: text.length };
	}
});
