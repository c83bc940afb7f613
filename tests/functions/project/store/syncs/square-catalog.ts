import { createSync } from 'nango';
import { z } from 'zod';

const Item = z.object({ id: z.string(), name: z.string(), variations: z.array(z.object({ id: z.string(), cents: z.number().nullable() })), category: z.string().nullable() });
const Category = z.object({ id: z.string(), name: z.string() });
const Raw = z.discriminatedUnion('type', [
	z.object({ type: z.literal('ITEM'), id: z.string(), is_deleted: z.boolean().default(false), item_data: z.object({ name: z.string(), category_id: z.string().optional(), variations: z.array(z.object({ id: z.string(), item_variation_data: z.object({ price_money: z.object({ amount: z.union([z.number(), z.bigint()]) }).optional() }) })).default([]) }) }),
	z.object({ type: z.literal('CATEGORY'), id: z.string(), is_deleted: z.boolean().default(false), category_data: z.object({ name: z.string() }) }),
	z.object({ type: z.enum(['TAX', 'DISCOUNT', 'IMAGE']), id: z.string() })
]);

export default createSync({
	description: 'Two models out of one mixed listing',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	models: { Item, Category },
	exec: async (nango) => {
		await Promise.all([nango.trackDeletesStart('Item'), nango.trackDeletesStart('Category')]);
		const counts = { ITEM: 0, CATEGORY: 0, skipped: 0 };
		for await (const objects of nango.paginate<unknown>({ endpoint: '/v2/catalog/list', params: { types: 'ITEM,CATEGORY' }, paginate: { type: 'cursor', cursor_name_in_request: 'cursor', cursor_path_in_response: 'cursor', response_path: 'objects' }, headers: { 'Square-Version': '2024-06-04' } })) {
			const items: z.infer<typeof Item>[] = [];
			const categories: z.infer<typeof Category>[] = [];
			for (const object of objects.map((o) => Raw.parse(o))) {
				if (object.type === 'ITEM' && !object.is_deleted) {
					counts[object.type]++;
					const { name, category_id = null, variations } = object.item_data;
					items.push({ id: object.id, name, category: category_id, variations: variations.map((v) => ({ id: v.id, cents: v.item_variation_data.price_money ? Number(v.item_variation_data.price_money.amount) : null })) });
				} else if (object.type === 'CATEGORY') {
					counts.CATEGORY += 1;
					categories.push({ id: object.id, name: object.category_data.name });
				} else counts.skipped++;
			}
			await nango.batchSave(items, 'Item');
			await nango.batchSave(categories, 'Category');
		}
		const gone = [await nango.trackDeletesEnd('Item'), await nango.trackDeletesEnd('Category')].flatMap((r) => r.deletedKeys);
		await nango.log(JSON.stringify({ ...counts, gone }), { level: 'warn' });
	}
});
