import { createAction } from 'nango';
import { z } from 'zod';

const Money = z.string().regex(/^-?\d+(\.\d{1,2})?$/).transform((text) => Math.round(parseFloat(text) * 100));
const Payroll = z.object({ payroll_uuid: z.string(), processed: z.boolean(), pay_period: z.object({ start_date: z.iso.date(), end_date: z.iso.date() }), totals: z.record(z.string(), Money).optional() });
const format = (cents: number) => `${cents < 0 ? '-' : ''}$${(Math.abs(cents) / 100).toFixed(2).replace(/\B(?=(\d{3})+(?!\d))/g, ',')}`;

export default createAction({
	description: 'Totals of payrolls, in cents',
	version: '1.0.0',
	input: z.object({ company: z.string(), year: z.number() }),
	output: z.any(),
	exec: async (nango, { company, year }) => {
		const { data, headers } = await nango.get({ endpoint: `/v1/companies/${company}/payrolls`, params: { start_date: `${year}-01-01`, end_date: new Date(Date.UTC(year + 1, 0, 0)).toISOString().slice(0, 10), include: 'totals,taxes', processed: 'true' }, headers: { 'X-Gusto-API-Version': '2024-04-01' } });
		const payrolls = z.array(Payroll).parse(data);
		const sums = new Map<string, number>();
		for (const { totals = {} } of payrolls) for (const [name, cents] of Object.entries(totals)) sums.set(name, (sums.get(name) ?? 0) + cents);
		return {
			page: { number: Number(headers['x-page']), total: Number(headers['x-total-pages'] ?? 1) },
			months: payrolls.map((p) => new Date(`${p.pay_period.start_date}T00:00:00Z`).toLocaleString('en-US', { month: 'short', year: 'numeric', timeZone: 'UTC' })),
			sums: Object.fromEntries([...sums.entries()].sort(([, a], [, b]) => b - a).map(([name, cents]) => [name, format(cents)]))
		};
	}
});
