import { createAction } from 'nango';
import { z } from 'zod';

const LeadInput = z
	.object({
		lastName: z.string().min(1, 'Last name is required'),
		firstName: z.string().optional(),
		email: z.email('Not an email').optional(),
		company: z.string().optional(),
		revenue: z.coerce.number().nonnegative().optional(),
		tags: z.array(z.string().max(25)).max(3, { message: 'Too many tags' }).optional()
	})
	.refine((lead) => lead.email !== undefined || lead.company !== undefined, { message: 'Either email or company must be given', path: ['email'] });

const ResultSchema = z.object({
	data: z
		.array(
			z.discriminatedUnion('status', [
				z.object({ status: z.literal('success'), code: z.string(), action: z.enum(['insert', 'update']), details: z.object({ id: z.string(), Created_Time: z.string(), Modified_Time: z.string() }) }),
				z.object({ status: z.literal('error'), code: z.string(), message: z.string(), details: z.object({ api_name: z.string().optional() }).loose() })
			])
		)
		.min(1)
});

export default createAction({
	description: 'Create or update a lead',
	version: '1.0.0',
	input: LeadInput,
	output: z.object({ id: z.string(), created: z.boolean(), modified_at: z.string() }),
	exec: async (nango, rawInput) => {
		const { data: input } = await nango.zodValidateInput({ zodSchema: LeadInput, input: rawInput });
		const body = {
			data: [
				{
					Last_Name: input.lastName,
					...(input.firstName !== undefined && { First_Name: input.firstName }),
					...(input.email !== undefined && { Email: input.email }),
					...(input.company !== undefined && { Company: input.company }),
					...(input.revenue !== undefined && { Annual_Revenue: input.revenue }),
					...(input.tags && { Tag: input.tags.map((name) => ({ name })) })
				}
			],
			duplicate_check_fields: ['Email'],
			trigger: []
		};
		const response = await nango.post({ endpoint: '/crm/v6/Leads/upsert', data: body, retries: 3 });
		const parsed = ResultSchema.safeParse(response.data);
		if (!parsed.success) {
			throw new nango.ActionError({ type: 'invalid_response', message: 'The provider answered something unexpected', issues: parsed.error.issues.map((i) => ({ path: i.path.join('.'), code: i.code, message: i.message })) });
		}
		const [first] = parsed.data.data;
		if (!first || first.status === 'error') {
			throw new nango.ActionError({ type: 'provider_error', code: first?.code, message: first?.message ?? 'empty', field: first?.details['api_name'] });
		}
		return { id: first.details.id, created: first.action === 'insert', modified_at: new Date(first.details.Modified_Time).toISOString() };
	}
});
