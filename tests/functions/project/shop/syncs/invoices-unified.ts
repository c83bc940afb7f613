import { createSync } from 'nango';
import * as z from 'zod';

import { UnifiedInvoice, toInvoice } from '../lib/unified.js';

const Problem = z.object({ id: z.string(), issues: z.array(z.string()) });

export default createSync({
	description: 'Invoices in a common shape; what does not fit goes to a second model',
	frequency: 'every hour',
	autoStart: false,
	models: { UnifiedInvoice, Problem },
	exec: async (nango) => {
		const { data } = await nango.post<any>({ endpoint: '/invoices/search', data: { filter: { state: ['SENT', 'PAID'] }, sort: [{ field: 'no', dir: 'asc' }] } });
		const good: any[] = [];
		const bad: any[] = [];
		for (const raw of data.hits) {
			const parsed = UnifiedInvoice.safeParse(toInvoice(raw));
			if (parsed.success) good.push(parsed.data);
			else bad.push({ id: String(raw.invoice_id), issues: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`) });
		}
		await nango.batchSave(good, 'UnifiedInvoice');
		await nango.batchSave(bad, 'Problem');
	}
});
