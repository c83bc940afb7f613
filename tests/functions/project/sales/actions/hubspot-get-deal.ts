import { z } from 'zod';
import { createAction } from 'nango';
import type { ProxyConfiguration } from 'nango';

const InputSchema = z.object({
	dealId: z.string().describe('Deal ID. Example: "9876543210"'),
	properties: z.array(z.string()).optional().describe('Property names to return')
});

const ProviderDealSchema = z
	.object({
		id: z.string(),
		properties: z.record(z.string(), z.string().nullable()).optional(),
		createdAt: z.string().optional(),
		updatedAt: z.string().optional(),
		archived: z.boolean().optional(),
		associations: z
			.object({ contacts: z.object({ results: z.array(z.object({ id: z.string(), type: z.string() })) }).optional() })
			.passthrough()
			.optional()
	})
	.passthrough();

const OutputSchema = z.object({
	id: z.string(),
	name: z.string().nullable(),
	amount: z.number().nullable(),
	close_date: z.string().optional(),
	contact_ids: z.array(z.string()),
	archived: z.boolean(),
	extra: z.record(z.string(), z.unknown()).optional()
});

const action = createAction({
	description: 'Retrieve a deal by its id, with associated contacts',
	version: '1.0.0',
	endpoint: { method: 'GET', path: '/deals/single', group: 'Deals' },
	input: InputSchema,
	output: OutputSchema,
	scopes: ['crm.objects.deals.read'],
	exec: async (nango, input): Promise<z.infer<typeof OutputSchema>> => {
		const config: ProxyConfiguration = {
			// https://developers.example.com/docs/reference/api/crm/objects/deals
			endpoint: `/crm/v3/objects/deals/${encodeURIComponent(input.dealId)}`,
			params: { associations: 'contacts', ...(input.properties && { properties: input.properties.join(',') }) },
			retries: 3
		};
		const response = await nango.get(config);
		if (!response.data) {
			throw new nango.ActionError({ type: 'not_found', message: 'Deal not found', dealId: input.dealId });
		}
		const deal = ProviderDealSchema.parse(response.data);
		const amount = deal.properties?.['amount'];
		const { id, properties, archived, associations, createdAt, updatedAt, ...rest } = deal;
		return {
			id,
			name: properties?.['dealname'] ?? null,
			amount: amount != null && amount !== '' ? parseFloat(amount) : null,
			...(properties?.['closedate'] != null && { close_date: new Date(properties['closedate']).toISOString() }),
			contact_ids: [...new Set(associations?.contacts?.results.map((r) => r.id) ?? [])],
			archived: archived ?? false,
			...(Object.keys(rest).length > 0 && { extra: rest })
		};
	}
});

export type NangoActionLocal = Parameters<(typeof action)['exec']>[0];
export default action;
