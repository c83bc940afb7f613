import { createAction } from 'nango';
import type { NangoAction } from 'nango';
import { z } from 'zod';

const ErrorBody = z.object({ errors: z.object({ code: z.number(), message: z.array(z.string()).or(z.string()) }) });

const explain = (nango: Pick<NangoAction, 'ActionError'>) => (error: any): never => {
	const body = ErrorBody.safeParse(error?.response?.data);
	const messages = body.success ? [body.data.errors.message].flat() : ['no details'];
	throw new nango.ActionError({ status: error?.response?.status ?? null, messages, text: `${error.name}: ${error.message}` });
};

export default createAction({
	description: 'Convert a lead to a contact',
	version: '1.0.0',
	input: z.object({ id: z.string(), deal: z.object({ name: z.string(), amount: z.number() }).optional() }),
	output: z.object({ contact_id: z.string(), deal_id: z.string().nullable() }),
	exec: async (nango, input) => {
		const response = await nango
			.post<{ contact: { id: number | string }; deal?: { id: number | string } | null }>({ endpoint: `/api/leads/${input.id}/convert`, data: { lead: { ...input.deal && { deal: input.deal } } } })
			.catch(explain(nango));
		const { contact, deal } = response.data;
		return { contact_id: String(contact.id), deal_id: deal == null ? null : String(deal.id) };
	}
});
