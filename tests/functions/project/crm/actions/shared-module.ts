import { createAction } from 'nango';
import * as z from 'zod';
import shared, { groupBy, oneLine, toCents } from '../lib/map.js';
import type { Address } from '../lib/map.js';

interface Customer {
	id: number;
	address?: Address;
	orders: { total: string; currency: string }[];
}

export default createAction({
	description: 'Maps customers with a module of its own',
	input: z.object({ ids: z.array(z.number()) }),
	output: z.any(),
	exec: async (nango, { ids }) => {
		const customers = await Promise.all(ids.map(async (id) => (await nango.get<Customer>({ endpoint: `/customers/${id}`, params: { include: 'orders,address' } })).data));
		return {
			version: shared.version,
			customers: customers.map(({ id, address, orders }) => ({
				id: `cus_${id}`,
				address: oneLine(address),
				totals: Object.fromEntries(Object.entries(groupBy(orders, (order) => order.currency)).map(([currency, list]) => [currency, list.reduce((sum, order) => sum + toCents(order.total), 0)]))
			}))
		};
	}
});
