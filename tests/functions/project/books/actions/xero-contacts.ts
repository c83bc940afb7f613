import { createAction } from 'nango';
import { z } from 'zod';

// "/Date(1704448830000+0200)/"
const netDate = (text: string | undefined): Date | undefined => {
	const match = text?.match(/^\/Date\((-?\d+)(?:([+-])(\d{2})(\d{2}))?\)\/$/);
	return match ? new Date(parseInt(match[1]!, 10)) : undefined;
};

export default createAction({
	description: 'Contacts of the first tenant',
	version: '1.0.0',
	input: z.object({ ids: z.array(z.string()).optional(), modifiedSince: z.string().optional() }),
	output: z.any(),
	exec: async (nango, input) => {
		const { data: tenants } = await nango.get<{ tenantId: string; tenantType: string }[]>({ endpoint: '/connections' });
		const tenant = tenants.find((t) => t.tenantType === 'ORGANISATION') ?? tenants[0];
		if (!tenant) throw new nango.ActionError({ type: 'no_tenant', message: 'No tenant' });
		const headers: Record<string, string> = { 'xero-tenant-id': tenant.tenantId };
		if (input.modifiedSince) headers['If-Modified-Since'] = new Date(input.modifiedSince).toUTCString();
		const response = await nango.get({ endpoint: '/api.xro/2.0/Contacts', headers, params: { ...(input.ids?.length && { IDs: input.ids.join(',') }), includeArchived: 'false', pageSize: 100 } });
		return response.data.Contacts.map((c: any) => ({
			id: c.ContactID,
			name: c.Name,
			supplier: c.IsSupplier === true,
			updated: netDate(c.UpdatedDateUTC) ?? null,
			phone: c.Phones?.filter((p: any) => p.PhoneNumber).map((p: any) => [p.PhoneCountryCode, p.PhoneAreaCode, p.PhoneNumber].filter(Boolean).join('-'))[0] ?? null,
			balances: Object.entries(c.Balances ?? {}).map(([kind, amounts]: [string, any]) => `${kind}: ${new Intl.NumberFormat('en-US', { minimumFractionDigits: 2 }).format(amounts.Outstanding)}`)
		}));
	}
});
