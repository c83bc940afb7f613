import { createSync } from 'nango';
import { z } from 'zod';

const Customer = z.object({ id: z.string(), display_name: z.string(), balance: z.number(), notes: z.array(z.string()) });

export default createSync({
	description: 'Customers by STARTPOSITION in a query text',
	version: '1.0.0',
	frequency: 'every day',
	autoStart: true,
	models: { Customer },
	exec: async (nango) => {
		const max = 2;
		await nango.trackDeletesStart('Customer');
		for (let start = 1; ; start += max) {
			const response = await nango.get<{ QueryResponse: { Customer?: any[] } }>({ endpoint: '/v3/company/1/query', params: { query: `select * from Customer where Active in (true, false) STARTPOSITION ${start} MAXRESULTS ${max}` }, retries: 10 });
			const page = response.data.QueryResponse.Customer ?? [];
			await nango.batchSave(page.map((c) => ({ id: c.Id, display_name: c.DisplayName.normalize('NFKC'), balance: c.Balance ?? 0, notes: (c.Notes ?? '').split(/[;\n]\s*/).filter((n: string) => n !== '') })), 'Customer');
			if (page.length < max) break;
		}
		await nango.trackDeletesEnd('Customer');
	}
});
