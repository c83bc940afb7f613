import { createSync } from 'nango';
import type { ProxyConfiguration } from 'nango';
import { z } from 'zod';

const ProviderCompanySchema = z.object({
	id: z.string(),
	properties: z.object({ name: z.string().nullish(), domain: z.string().nullish(), hs_lastmodifieddate: z.string(), numberofemployees: z.string().nullish() }),
	archived: z.boolean().optional()
});
const CompanySchema = z.object({ id: z.string(), name: z.string().optional(), domain: z.string().optional(), employees: z.number().optional(), updated_at: z.string() });
const CheckpointSchema = z.object({ updated_after: z.string(), after: z.string() });

const sync = createSync({
	description: 'Companies, newest changes first found by search',
	version: '1.0.0',
	endpoints: [{ method: 'GET', path: '/syncs/companies' }],
	frequency: 'every hour',
	autoStart: true,
	syncType: 'incremental',
	checkpoint: CheckpointSchema,
	models: { Company: CompanySchema },
	exec: async (nango) => {
		const checkpoint = await nango.getCheckpoint();
		const since = checkpoint?.updated_after || '1970-01-01T00:00:00.000Z';
		const proxyConfig: ProxyConfiguration = {
			// https://developers.example.com/docs/api/crm/search
			endpoint: '/crm/v3/objects/companies/search',
			method: 'POST',
			data: {
				filterGroups: [{ filters: [{ propertyName: 'hs_lastmodifieddate', operator: 'GTE', value: new Date(since).getTime().toString() }] }],
				sorts: [{ propertyName: 'hs_lastmodifieddate', direction: 'ASCENDING' }],
				properties: ['name', 'domain', 'hs_lastmodifieddate', 'numberofemployees'],
				...(checkpoint?.after && { after: checkpoint.after })
			},
			paginate: { type: 'cursor', cursor_name_in_request: 'after', cursor_path_in_response: 'paging.next.after', limit_name_in_request: 'limit', limit: 2, response_path: 'results' },
			retries: 3
		};
		let latest = since;
		for await (const page of nango.paginate(proxyConfig)) {
			const companies = page.map((raw) => ProviderCompanySchema.parse(raw)).map((company) => ({
				id: company.id,
				...(company.properties.name != null && { name: company.properties.name }),
				...(company.properties.domain != null && { domain: company.properties.domain }),
				...(company.properties.numberofemployees ? { employees: Number(company.properties.numberofemployees) } : {}),
				updated_at: company.properties.hs_lastmodifieddate
			}));
			if (companies.length === 0) continue;
			await nango.batchSave(companies, 'Company');
			const last = companies[companies.length - 1]!;
			if (last.updated_at > latest) latest = last.updated_at;
			await nango.saveCheckpoint({ updated_after: latest, after: '' });
		}
	}
});

export type NangoSyncLocal = Parameters<(typeof sync)['exec']>[0];
export default sync;
