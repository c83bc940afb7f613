import { createSync } from 'nango';
import * as z from 'zod';

const Order = z.object({ id: z.string(), name: z.string(), lines: z.number(), customer: z.string().nullable() });

export default createSync({
	description: 'All orders by links in headers; what is gone is deleted',
	frequency: 'every day',
	autoStart: false,
	models: { Order },
	exec: async (nango) => {
		await nango.trackDeletesStart('Order');
		for await (const orders of nango.paginate<any>({
			endpoint: '/admin/orders.json',
			params: { status: 'any', limit: 2 },
			paginate: { type: 'link', link_rel_in_response_header: 'next', limit_name_in_request: 'limit', response_path: 'orders' }
		})) {
			await nango.batchSave(
				orders.map((order) => ({ id: `${order.id}`, name: order.name, lines: order.line_items?.length ?? 0, customer: order.customer ? [order.customer.first_name, order.customer.last_name].filter(Boolean).join(' ') : null })),
				'Order'
			);
		}
		const { deletedKeys } = await nango.trackDeletesEnd('Order');
		await nango.log(`gone: ${deletedKeys.sort().join(',')}`, { level: 'warn' });
	}
});
