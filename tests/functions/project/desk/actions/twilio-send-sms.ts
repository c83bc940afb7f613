import { createAction } from 'nango';
import { z } from 'zod';

const Phone = z.string().transform((value, context) => {
	const digits = value.replace(/[\s().-]/g, '');
	if (!/^\+[1-9]\d{6,14}$/.test(digits)) {
		context.addIssue({ code: 'custom', message: `"${value}" is not a phone number`, params: { digits } });
		return z.NEVER;
	}
	return digits;
});
const InputSchema = z.object({ from: Phone, to: Phone, body: z.string().min(1).max(1600), media: z.array(z.url()).optional(), status_callback: z.url().nullish() });

export default createAction({
	description: 'Send a message as a form',
	version: '1.0.0',
	input: InputSchema,
	output: z.object({ sid: z.string(), price: z.number().nullable(), segments: z.number(), sent_at: z.string().nullable() }),
	exec: async (nango, raw) => {
		const checked = InputSchema.safeParse(raw);
		if (!checked.success) throw new nango.ActionError({ type: 'invalid_input', ...z.flattenError(checked.error) });
		const input = checked.data;
		const form = new URLSearchParams();
		form.set('From', input.from);
		form.set('To', input.to);
		form.set('Body', input.body);
		for (const url of input.media ?? []) form.append('MediaUrl', url);
		if (input.status_callback) form.append('StatusCallback', input.status_callback);
		const response = await nango.post({ endpoint: '/2010-04-01/Accounts/AC1/Messages.json', data: form.toString(), headers: { 'Content-Type': 'application/x-www-form-urlencoded' } });
		const { sid, price, num_segments, date_sent } = response.data;
		return { sid, price: price === null ? null : Math.abs(Number(price)), segments: parseInt(num_segments), sent_at: date_sent ? new Date(date_sent).toISOString() : null };
	}
});
