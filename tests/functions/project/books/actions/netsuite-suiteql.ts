import { createAction } from 'nango';
import { z } from 'zod';

export default createAction({
	description: 'SuiteQL pages by offset until hasMore is false',
	version: '1.0.0',
	input: z.object({ status: z.string().array(), from: z.string() }),
	output: z.any(),
	exec: async (nango, { status, from }) => {
		const q = `SELECT id, tranid, foreigntotal FROM transaction WHERE status IN (${status.map((s) => `'${s.replace(/'/g, "''")}'`).join(', ')}) AND trandate >= TO_DATE('${from}', 'YYYY-MM-DD')`;
		const rows: any[] = [];
		let offset = 0;
		for (let hasMore = true; hasMore && offset < 10_000; ) {
			const { data } = await nango.post({ endpoint: '/query/v1/suiteql', params: { limit: 2, offset }, data: { q }, headers: { Prefer: 'transient' } });
			rows.push(...data.items);
			({ hasMore } = data);
			offset += data.count ?? data.items.length;
		}
		const key = <K extends string>(name: K) => (row: Record<K, any>) => row[name];
		const grouped: Record<string, any[]> = {};
		for (const row of rows) (grouped[String(key('tranid')(row)).slice(0, 3)] ??= []).push(row);
		return { offset, totals: Object.entries(grouped).map(([prefix, list]) => ({ prefix, n: list.length, total: list.map(key('foreigntotal')).map(parseFloat).reduce((a, b) => a + b, 0) })), biggest: rows.reduce((max, row) => (BigInt(row.id) > BigInt(max.id) ? row : max), rows[0]).id };
	}
});
