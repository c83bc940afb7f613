import { createAction } from 'nango';
import { z } from 'zod';

const Row = z.object({ date_start: z.string(), spend: z.coerce.number(), impressions: z.coerce.number().int(), actions: z.array(z.object({ action_type: z.string(), value: z.coerce.number() })).optional(), ctr: z.string().transform((s) => Number.parseFloat(s)).optional() });

export default createAction({
	description: 'Insights, next pages as whole addresses; a table of days',
	version: '1.0.0',
	input: z.object({ account: z.string(), range: z.object({ since: z.string(), until: z.string() }) }),
	output: z.any(),
	exec: async (nango, { account, range }) => {
		const rows: z.infer<typeof Row>[] = [];
		let url: URL | null = null;
		do {
			const { data }: { data: any } = await nango.get(
				url
					? { endpoint: url.pathname.replace('/api/', '/'), params: Object.fromEntries(url.searchParams) }
					: { endpoint: `/v19.0/act_${account}/insights`, params: { time_range: JSON.stringify(range), fields: 'spend,impressions,actions,ctr', time_increment: 1, level: 'account' } }
			);
			rows.push(...z.array(Row).parse(data.data));
			url = data.paging?.next ? new URL(data.paging.next) : null;
			url?.searchParams.delete('access_token');
		} while (url);
		const actions = [...new Set(rows.flatMap((r) => r.actions?.map((a) => a.action_type) ?? []))].sort();
		return {
			days: rows.map(({ date_start, spend, impressions, ctr }) => ({ date_start, cpm: impressions ? Math.round((spend / impressions) * 1e5) / 100 : null, ctr: ctr ?? NaN })),
			totals: Object.fromEntries(actions.map((type) => [type, rows.reduce((sum, r) => sum + (r.actions?.find((a) => a.action_type === type)?.value ?? 0), 0)])),
			spend: rows.reduce((sum, r) => sum + r.spend, 0).toLocaleString('en-US', { style: 'currency', currency: 'USD' })
		};
	}
});
