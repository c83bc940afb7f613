import { createAction } from 'nango';
import { z } from 'zod';

const businessDays = (from: Date, to: Date, holidays: ReadonlySet<string> = new Set()) => {
	let count = 0;
	for (const day = new Date(from); day <= to; day.setUTCDate(day.getUTCDate() + 1)) {
		if (day.getUTCDay() % 6 !== 0 && !holidays.has(day.toISOString().slice(0, 10))) count++;
	}
	return count;
};

export default createAction({
	description: 'Request an absence as a form',
	version: '1.0.0',
	input: z.object({ employee: z.number(), from: z.string().date(), to: z.string().date(), halfDay: z.boolean().default(false), holidays: z.array(z.string()).optional() }),
	output: z.any(),
	exec: async (nango, input) => {
		const [from, to] = [input.from, input.to].map((text) => new Date(text)) as [Date, Date];
		if (to < from) throw new nango.ActionError({ type: 'invalid_range', message: 'to is before from', from, to });
		const params = new URLSearchParams({ employee_id: `${input.employee}`, time_off_type_id: '1', start_date: input.from, end_date: input.to });
		if (input.halfDay) params.append('half_day_start', 'true');
		params.append('comment', 'Dovolená & odpočinek + 🏖');
		const response = await nango.post({ endpoint: '/v1/company/time-offs', data: params, headers: { 'Content-Type': 'application/x-www-form-urlencoded' } });
		return { id: response.data.data?.attributes?.id, days: businessDays(from, to, new Set(input.holidays)), sent: params.toString(), keys: Array.from(params.keys()) };
	}
});
