import { createAction } from 'nango';
import { z } from 'zod';

const Transaction = z.object({ transaction_id: z.string(), amount: z.number(), iso_currency_code: z.string().nullable(), date: z.iso.date(), name: z.string(), personal_finance_category: z.object({ primary: z.string(), confidence_level: z.enum(['VERY_HIGH', 'HIGH', 'MEDIUM', 'LOW', 'UNKNOWN']).optional() }).nullable().optional(), location: z.object({ lat: z.number().nullable(), lon: z.number().nullable() }).partial().optional() });

export default createAction({
	description: 'Transactions added, modified and removed since a cursor',
	version: '1.0.0',
	input: z.object({ cursor: z.string().default('') }),
	output: z.any(),
	exec: async (nango, input) => {
		const state = { added: new Map<string, z.infer<typeof Transaction>>(), removed: new Set<string>(), cursor: input.cursor ?? '' };
		let page;
		do {
			const { data } = await nango.post({ endpoint: '/transactions/sync', data: { cursor: state.cursor || undefined, count: 500, options: { include_personal_finance_category: true } } });
			page = z.object({ added: z.array(Transaction), modified: z.array(Transaction), removed: z.array(Transaction.pick({ transaction_id: true })), has_more: z.boolean(), next_cursor: z.string() }).parse(data);
			for (const transaction of [...page.added, ...page.modified]) state.added.set(transaction.transaction_id, transaction);
			for (const { transaction_id } of page.removed) state.added.delete(transaction_id) || state.removed.add(transaction_id);
			state.cursor = page.next_cursor;
		} while (page.has_more);
		const byCategory: { [category: string]: number } = {};
		state.added.forEach(({ amount, personal_finance_category: category }) => {
			const name = (category?.primary ?? 'OTHER').toLowerCase().split('_').map((word) => word[0]!.toUpperCase() + word.slice(1)).join(' ');
			byCategory[name] = +((byCategory[name] ?? 0) + amount).toFixed(2);
		});
		return { cursor: state.cursor, byCategory, removed: [...state.removed], newest: [...state.added.values()].sort((a, b) => (a.date < b.date ? 1 : a.date > b.date ? -1 : 0)).map((t) => `${t.date} ${t.name}`) };
	}
});
