import { createSync } from 'nango';
import * as z from 'zod';

const Product = z.object({ id: z.string(), title: z.string(), price: z.number(), updatedAt: z.string(), variants: z.array(z.object({ sku: z.string(), stock: z.number() })) });

export default createSync({
	description: 'Products changed since the checkpoint, page by page',
	frequency: 'every hour',
	autoStart: false,
	models: { Product },
	checkpoint: z.object({ updatedAfter: z.string(), cursor: z.string(), pages: z.number() }),
	exec: async (nango) => {
		const from = await nango.getCheckpoint();
		let newest = from?.updatedAfter ?? '2000-01-01T00:00:00Z';
		const params: Record<string, string> = { updated_after: from?.updatedAfter ?? '2000-01-01T00:00:00Z', ...(from?.cursor && { page_token: from.cursor }) };
		let pages = from?.pages ?? 0;
		for await (const page of nango.paginate<any>({
			endpoint: '/products.json',
			params,
			retries: 3,
			paginate: {
				type: 'cursor',
				cursor_path_in_response: 'paging.next_token',
				cursor_name_in_request: 'page_token',
				limit: 3,
				limit_name_in_request: 'page_size',
				response_path: 'products',
				on_page: async ({ nextPageParam }) => {
					await nango.log(`next is ${String(nextPageParam)}`, { level: 'warn' });
				}
			}
		})) {
			const products = page.map((raw) => ({
				id: String(raw.id),
				title: raw.title.trim(),
				price: Number(raw.price),
				updatedAt: new Date(raw.updated_at).toISOString(),
				variants: (raw.variants ?? []).map((v: any) => ({ sku: v.sku, stock: v.inventory_quantity ?? 0 }))
			}));
			await nango.batchSave(products, 'Product');
			for (const { updatedAt } of products) if (updatedAt > newest) newest = updatedAt;
			await nango.saveCheckpoint({ updatedAfter: newest, cursor: '', pages: ++pages });
		}
	}
});
