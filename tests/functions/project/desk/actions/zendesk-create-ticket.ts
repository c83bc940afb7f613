import { z } from 'zod';
import { createAction } from 'nango';

const InputSchema = z.object({
	subject: z.string(),
	comment: z.union([z.string(), z.object({ body: z.string().optional(), html_body: z.string().optional(), public: z.boolean().default(true) })]),
	priority: z.enum(['urgent', 'high', 'normal', 'low']).optional(),
	requester: z.object({ name: z.string(), email: z.string() }).optional(),
	custom_fields: z.array(z.object({ id: z.number(), value: z.any() })).optional(),
	due_at: z.iso.datetime().nullable().optional()
});

const TicketSchema = z.looseObject({
	id: z.number(),
	url: z.string(),
	status: z.string(),
	priority: z.string().nullable(),
	via: z.object({ channel: z.string(), source: z.object({ from: z.record(z.string(), z.unknown()), to: z.unknown(), rel: z.string().nullable() }) }),
	tags: z.array(z.string())
});

const action = createAction({
	description: 'Create a ticket',
	version: '1.0.2',
	endpoint: { method: 'POST', path: '/tickets', group: 'Tickets' },
	input: InputSchema,
	output: TicketSchema,
	exec: async (nango, input) => {
		const parsedInput = await nango.zodValidateInput({ zodSchema: InputSchema, input });
		const { comment, ...ticket } = parsedInput.data;
		const response = await nango.post({
			// https://developer.example.com/api-reference/ticketing/tickets/tickets/#create-ticket
			endpoint: '/api/v2/tickets.json',
			data: { ticket: { ...ticket, comment: typeof comment === 'string' ? { body: comment } : comment } },
			headers: { 'Idempotency-Key': `ticket-${ticket.subject.length}` },
			retries: 3
		});
		if (response.status !== 201) {
			await nango.log(`created with ${response.status} ${response.statusText}`, { level: 'warn' });
		}
		return TicketSchema.parse(response.data.ticket);
	}
});

export default action;
