import { z } from 'zod';
import { createAction } from 'nango';

const Input = z.object({ term: z.string().min(2), exact: z.boolean().optional(), cursor: z.string().optional(), limit: z.number().int().min(1).max(500).optional() });

const Item = z.object({
	result_score: z.number(),
	item: z.object({
		id: z.number(),
		name: z.string().nullable(),
		phones: z.array(z.string()).nullish(),
		emails: z.array(z.string()).nullish(),
		owner: z.object({ id: z.number() }).nullish(),
		organization: z.object({ id: z.number(), name: z.string(), address: z.string().nullish() }).nullish(),
		custom_fields: z.array(z.unknown()).default([])
	})
});

const ProviderResponse = z.object({
	success: z.literal(true),
	data: z.object({ items: z.array(Item) }),
	additional_data: z.object({ next_cursor: z.string().nullish() }).optional()
});

export default createAction({
	description: 'Search people by a term',
	version: '2.0.1',
	input: Input,
	output: z.object({ items: z.array(z.object({ id: z.string(), name: z.string(), score: z.number(), email: z.string().optional(), phone: z.string().optional(), organization: z.string().nullable() })), next_cursor: z.string().optional() }),
	exec: async (nango, input) => {
		const params: Record<string, string | number> = { term: input.term };
		if (input.exact !== undefined) params['exact_match'] = String(input.exact);
		if (input.cursor) params['cursor'] = input.cursor;
		params['limit'] = input.limit ?? 100;
		// https://developers.example.com/api/v2/persons/search
		const response = await nango.get({ endpoint: '/api/v2/persons/search', params, retries: 3 });
		const parsed = ProviderResponse.parse(response.data);
		const items = parsed.data.items
			.sort((a, b) => b.result_score - a.result_score || (a.item.name ?? '').localeCompare(b.item.name ?? ''))
			.map(({ item, result_score }) => ({
				id: `${item.id}`,
				name: item.name?.trim() || 'Unnamed',
				score: Math.round(result_score * 1000) / 1000,
				...(item.emails?.[0] && { email: item.emails[0].toLowerCase() }),
				...(item.phones?.length ? { phone: item.phones[0]!.replace(/[^\d+]/g, '') } : {}),
				organization: item.organization?.name ?? null
			}));
		return { items, ...(parsed.additional_data?.next_cursor && { next_cursor: parsed.additional_data.next_cursor }) };
	}
});
