import { createSync } from 'nango';
import { z } from 'zod';

const Customer = z.object({ id: z.string(), name: z.string(), channels: z.record(z.string(), z.array(z.string())), language: z.string().nullable(), meta: z.unknown() });
const Raw = z.object({ id: z.int(), name: z.string().nullable().transform((name) => name ?? 'Guest'), language: z.string().length(2).nullable().catch(null), channels: z.array(z.object({ type: z.string(), address: z.string() })).nullish().transform((list) => list ?? []), meta: z.json().optional() });

export default createSync({
	description: 'Customers, cursor in meta, raw checked by zod transforms',
	version: '1.0.0',
	frequency: 'every half hour',
	autoStart: false,
	models: { Customer },
	exec: async (nango) => {
		await nango.trackDeletesStart('Customer');
		const bad: string[] = [];
		for await (const page of nango.paginate<unknown>({ endpoint: '/api/customers', paginate: { type: 'cursor', cursor_path_in_response: 'meta.next_cursor', cursor_name_in_request: 'cursor', response_path: 'data', limit_name_in_request: 'limit', limit: 30 }, retries: 3 })) {
			const records = page.flatMap((raw) => {
				const result = Raw.safeParse(raw);
				if (!result.success) {
					bad.push(z.prettifyError(result.error));
					return [];
				}
				const { channels, id, ...rest } = result.data;
				const grouped: Record<string, string[]> = {};
				for (const { type, address } of channels) (grouped[type] ??= []).push(address);
				return [{ ...rest, id: id.toString(), channels: grouped, meta: rest.meta ?? null }];
			});
			await nango.batchSave(records, 'Customer');
		}
		if (bad.length > 0) await nango.log(bad.join('\n'), { level: 'warn' });
		await nango.trackDeletesEnd('Customer');
	}
});
