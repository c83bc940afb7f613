import { createSync } from 'nango';
import { z } from 'zod';

const Invoice = z.object({ id: z.string(), number: z.string().nullable(), total: z.number(), lines: z.array(z.object({ description: z.string(), amount: z.number() })), fully_paid_on: z.string().nullable() });

async function tenantOf(nango: { getMetadata: () => Promise<any>; get: (config: any) => Promise<any>; updateMetadata: (m: any) => Promise<unknown> }): Promise<string> {
	const metadata = await nango.getMetadata();
	if (typeof metadata?.tenantId === 'string') return metadata.tenantId;
	const { data } = await nango.get({ endpoint: '/connections' });
	if (data.length !== 1) throw new Error(`Expected one tenant, got ${data.length}: ${data.map((t: any) => t.tenantName)}`);
	await nango.updateMetadata({ tenantId: data[0].tenantId });
	return data[0].tenantId;
}

export default createSync({
	description: 'Invoices of a tenant that is remembered in metadata',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	models: { Invoice },
	exec: async (nango) => {
		const tenant = await tenantOf(nango as any);
		for await (const page of nango.paginate<any>({ endpoint: '/api.xro/2.0/Invoices', headers: { 'xero-tenant-id': tenant }, params: { summaryOnly: 'false' }, paginate: { type: 'offset', offset_name_in_request: 'page', offset_start_value: 1, offset_calculation_method: 'per-page', limit_name_in_request: 'pageSize', limit: 2, response_path: 'Invoices' }, retries: 3 })) {
			const gone = page.filter((i) => ['DELETED', 'VOIDED'].includes(i.Status));
			const kept = page.filter((i) => !gone.includes(i));
			await nango.batchSave(kept.map((i) => ({ id: i.InvoiceID, number: i.InvoiceNumber || null, total: i.Total, lines: i.LineItems?.map((l: any) => ({ description: l.Description?.trim() ?? '', amount: l.LineAmount })) ?? [], fully_paid_on: i.FullyPaidOnDate ? new Date(Number(/\d+/.exec(i.FullyPaidOnDate)![0])).toISOString() : null })), 'Invoice');
			await nango.batchDelete(gone.map(({ InvoiceID: id }) => ({ id })), 'Invoice');
		}
	}
});
