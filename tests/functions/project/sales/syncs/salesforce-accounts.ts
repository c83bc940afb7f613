import { createSync } from 'nango';
import { z } from 'zod';
import type { SalesforceRow } from '../helpers/soql.js';
import { selectAll, toIso } from '../helpers/soql.js';

const Account = z.object({ id: z.string(), name: z.string(), industry: z.string().nullable(), revenue: z.number().nullable(), last_modified: z.string(), owner: z.string().nullable() });
type Account = z.infer<typeof Account>;

const map = (row: SalesforceRow): Account => ({
	id: row['Id'] as string,
	name: row['Name'] as string,
	industry: (row['Industry'] as string | null) ?? null,
	revenue: row['AnnualRevenue'] != null ? Number(row['AnnualRevenue']) : null,
	last_modified: toIso(row['LastModifiedDate']),
	owner: (row['Owner'] as { Name?: string } | null)?.Name ?? null
});

export default createSync({
	description: 'Accounts changed since last time, deleted ones by a second query',
	version: '1.0.0',
	frequency: 'every 30 minutes',
	autoStart: true,
	checkpoint: z.object({ since: z.string() }),
	models: { Account },
	exec: async (nango) => {
		const checkpoint = await nango.getCheckpoint();
		const since = checkpoint?.since;
		let newest = since ?? '';
		for await (const rows of selectAll(nango, 'Account', ['Id', 'Name', 'Industry', 'AnnualRevenue', 'LastModifiedDate', 'Owner.Name'], since)) {
			const accounts = rows.map(map);
			await nango.batchSave(accounts, 'Account');
			newest = accounts.reduce((max, { last_modified }) => (last_modified > max ? last_modified : max), newest);
		}
		if (since) {
			const { data } = await nango.get<{ deletedRecords: { id: string; deletedDate: string }[] }>({ endpoint: '/services/data/v60.0/sobjects/Account/deleted/', params: { start: since } });
			if (data.deletedRecords.length > 0) await nango.batchDelete(data.deletedRecords.map(({ id }) => ({ id })) as Account[], 'Account');
		}
		if (newest !== '') await nango.saveCheckpoint({ since: newest });
		await nango.log(`newest is ${newest || 'none'}`, { level: 'warn' });
	}
});
