import { createAction } from 'nango';
import * as z from 'zod';

const Contact = z.object({ id: z.string(), name: z.string(), email: z.string(), company: z.string() });
const Deal = z.object({ id: z.string(), title: z.string(), amount: z.number(), currency: z.string(), stage: z.string() });

const Summary = z.object({
	id: z.string(),
	name: z.string(),
	email: z.string(),
	company: z.string(),
	deals: z.number(),
	won: z.number(),
	open: z.number()
});

// Two requests become one answer.  A busy provider (429) or a broken one (5xx) is asked again up to three times.
const action = createAction({
	description: 'A contact of the CRM with what its deals add up to.',
	version: '1.0.0',
	endpoint: { method: 'GET', path: '/contact-summary', group: 'Contacts' },
	input: z.object({ contactId: z.string() }),
	output: Summary,
	exec: async (nango, input) => {
		const contact = await nango.get({ endpoint: `/contacts/${encodeURIComponent(input.contactId)}`, retries: 3 });
		const deals = await nango.get({ endpoint: `/contacts/${encodeURIComponent(input.contactId)}/deals`, retries: 3 });

		const { id, name, email, company } = Contact.parse(contact.data);
		const list = z.array(Deal).parse(deals.data.deals);
		const sum = (stage: string) => list.filter((deal) => deal.stage === stage).reduce((total, deal) => total + deal.amount, 0);
		return { id, name, email, company, deals: list.length, won: sum('won'), open: sum('open') };
	}
});

export default action;
