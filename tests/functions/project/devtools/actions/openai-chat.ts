import { createAction } from 'nango';
import { z } from 'zod';

const ToolCall = z.object({ id: z.string(), function: z.object({ name: z.string(), arguments: z.string().transform((text, ctx) => {
	try {
		return JSON.parse(text) as unknown;
	} catch (error) {
		ctx.issues.push({ code: 'custom', message: `arguments: ${(error as Error).message}`, input: text });
		return z.NEVER;
	}
}) }) });
const Completion = z.object({ id: z.string(), choices: z.array(z.object({ finish_reason: z.enum(['stop', 'length', 'tool_calls', 'content_filter']).nullable(), message: z.object({ role: z.literal('assistant'), content: z.string().nullable(), tool_calls: z.array(ToolCall).optional() }) })).min(1), usage: z.object({ prompt_tokens: z.number(), completion_tokens: z.number() }).optional() });

export default createAction({
	description: 'A chat with tools described by schemas',
	version: '1.0.0',
	input: z.object({ prompt: z.string(), temperature: z.number().min(0).max(2).optional() }),
	output: z.any(),
	exec: async (nango, { prompt, temperature }) => {
		const Weather = z.object({ city: z.string().describe('Name of the city'), unit: z.enum(['c', 'f']).default('c'), days: z.number().int().min(1).max(7).optional() }).meta({ title: 'Weather' });
		const { data, headers } = await nango.post({ endpoint: '/v1/chat/completions', data: { model: 'gpt-4o', messages: [{ role: 'user', content: prompt }], temperature, tools: [{ type: 'function', function: { name: 'weather', parameters: z.toJSONSchema(Weather, { io: 'input' }) } }] } });
		const result = Completion.safeParse(data);
		if (!result.success) throw new nango.ActionError({ type: 'bad_completion', message: z.prettifyError(result.error), request: headers['x-request-id'] });
		const { message, finish_reason } = result.data.choices[0]!;
		const calls = message.tool_calls?.map(({ function: { name, arguments: args } }) => ({ name, args: Weather.partial().safeParse(args).data ?? args })) ?? [];
		return { text: message.content?.trim() ?? null, finish_reason, calls, tokens: Object.values(result.data.usage ?? {}).reduce((a, b) => a + b, 0) };
	}
});
