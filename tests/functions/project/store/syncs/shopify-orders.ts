import { createSync } from 'nango';
import { z } from 'zod';

const Order = z.object({ id: z.string(), name: z.string(), total: z.number(), items: z.record(z.string(), z.number()), risk: z.enum(['low', 'high']), customer: z.object({ id: z.string(), email: z.string().nullable() }).nullable() });

export default createSync({
	description: 'Orders by page_info, with totals per product',
	version: '1.0.0',
	frequency: 'every 5 minutes',
	autoStart: true,
	syncType: 'incremental',
	checkpoint: z.object({ updated_at_min: z.string() }),
	models: { Order },
	exec: async (nango) => {
		const checkpoint = await nango.getCheckpoint();
		let page_info: string | null = null;
		let latest = checkpoint?.updated_at_min ?? '';
		do {
			const params: Record<string, string> = page_info ? { limit: '2', page_info } : { limit: '2', status: 'any', order: 'updated_at asc', ...(checkpoint && { updated_at_min: checkpoint.updated_at_min }) };
			const response = await nango.get<any>({ endpoint: '/admin/api/2024-07/orders.json', params, retries: 3 });
			const orders = response.data.orders.map((o: any) => {
				latest = o.updated_at > latest ? o.updated_at : latest;
				const items: Record<string, number> = {};
				o.line_items.forEach(({ sku, title, quantity }: any) => (items[sku || title] = (items[sku || title] ?? 0) + quantity));
				return { id: String(o.id), name: o.name, total: Number(o.total_price), items, risk: o.total_price > 1000 ? 'high' : 'low', customer: o.customer ? { id: o.customer.id.toString(), email: o.customer.email } : null };
			});
			await nango.batchSave(orders, 'Order');
			const link = String(response.headers['link'] ?? '').split(',').find((part) => part.includes('rel="next"'));
			page_info = link ? new URL(link.slice(link.indexOf('<') + 1, link.indexOf('>'))).searchParams.get('page_info') : null;
		} while (page_info !== null);
		if (latest) await nango.saveCheckpoint({ updated_at_min: latest });
	}
});
