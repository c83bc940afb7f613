import { createAction } from 'nango';
import { z } from 'zod';

const OrderInput = z.object({ lines: z.array(z.tuple([z.int(), z.int().positive()])).min(1), coupon: z.string().optional(), shipping: z.object({ method: z.literal(['flat', 'free']), cost: z.number().nonnegative() }).optional(), meta: z.map(z.string(), z.string()).optional(), paid: z.stringbool().or(z.boolean()).default(false) });

export default createAction({
	description: 'Create an order from pairs',
	version: '1.0.0',
	input: z.any(),
	output: z.any(),
	exec: async (nango, raw: any) => {
		const { lines, coupon, shipping, meta, paid } = OrderInput.parse({ ...raw, ...(raw.meta && { meta: new Map(Object.entries(raw.meta)) }) });
		const body = {
			set_paid: paid,
			line_items: lines.map(([product_id, quantity]) => ({ product_id, quantity })),
			coupon_lines: coupon ? [{ code: coupon.toLocaleLowerCase() }] : [],
			...(shipping && { shipping_lines: [{ method_id: `${shipping.method}_rate`, total: shipping.cost.toFixed(2) }] }),
			meta_data: meta ? [...meta].map(([key, value]) => ({ key, value })) : undefined
		};
		const { data, status, statusText } = await nango.proxy({ method: 'POST', endpoint: '/wp-json/wc/v3/orders', data: body });
		return { id: data.id, total: parseFloat(data.total), line: `${status} ${statusText}`, created: new Date(data.date_created_gmt + 'Z').toISOString() };
	}
});
