import { createAction } from 'nango';
import { z } from 'zod';

const Email = z.email().transform((s) => s.toLowerCase());
const Input = z
	.object({
		name: z.string().trim().min(1),
		emails: z.union([Email, z.array(Email)]).transform((e) => (Array.isArray(e) ? e : [e])),
		phones: z.array(z.object({ type: z.enum(['mobile', 'home', 'work', 'skype', 'other']).default('other'), value: z.string() })).optional(),
		links: z.array(z.url({ protocol: /^https?$/ })).optional(),
		performAs: z.uuid(),
		createdAt: z.union([z.number(), z.iso.datetime().transform((s) => new Date(s).getTime())]).optional()
	})
	.superRefine((value, ctx) => {
		if (new Set(value.emails).size !== value.emails.length) ctx.addIssue({ code: 'custom', path: ['emails'], message: 'Duplicate emails' });
	});

export default createAction({
	description: 'Create an opportunity',
	version: '1.0.0',
	input: z.any(),
	output: z.any(),
	exec: async (nango, raw) => {
		const result = await Input.safeParseAsync(raw);
		if (!result.success) {
			throw new nango.ActionError({ type: 'invalid_input', message: result.error.issues.map((issue) => `${issue.path.map(String).join('/') || '(root)'}: ${issue.message}`).join('; '), count: result.error.issues.length });
		}
		const { performAs, ...data } = result.data;
		const { data: answer } = await nango.post({ endpoint: '/v1/opportunities', params: { perform_as: performAs, parse: 'true' }, data });
		const { id, urls: { show = null } = {}, stage: { text: stage } = { text: 'New' } } = answer.data;
		return { id, show, stage };
	}
});
