import { createSync } from 'nango';
import { z } from 'zod';

const Customer = z.object({ id: z.string(), email: z.string(), name: z.string(), spent: z.number(), meta: z.record(z.string(), z.unknown()) });

export default createSync({
	description: 'Pages until x-wp-totalpages',
	version: '1.0.0',
	frequency: 'every 12 hours',
	autoStart: true,
	models: { Customer },
	exec: async (nango) => {
		let pages = 1;
		const seen = new Set<number>();
		for (let page = 1; page <= pages; page++) {
			const response = await nango.get<any[]>({ endpoint: '/wp-json/wc/v3/customers', params: { page, per_page: 2, orderby: 'id' }, retries: 3 });
			pages = Number(response.headers['x-wp-totalpages']) || pages;
			const fresh = response.data.filter(({ id }) => !seen.has(id) && seen.add(id));
			await nango.batchSave(fresh.map((c) => ({ id: `${c.id}`, email: c.email, name: `${c.first_name} ${c.last_name}`.trim() || c.username, spent: +c.total_spent || 0, meta: Object.fromEntries(c.meta_data.filter((m: any) => !m.key.startsWith('_')).map((m: any) => [m.key, m.value])) })), 'Customer');
		}
		const known = await nango.getRecordsByIds([...seen].map(String), 'Customer');
		await nango.log([...known.values()].map(({ email }) => email).sort().join(','), { level: 'warn' });
	}
});
