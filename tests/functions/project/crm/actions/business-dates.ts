import { createAction } from 'nango';
import * as z from 'zod';

const HOLIDAYS = new Set(['2024-01-01', '2024-03-29', '2024-12-25']);
const iso = (d: Date) => d.toISOString().slice(0, 10);

function addBusinessDays(from: Date, days: number): Date {
	const at = new Date(from.getTime());
	for (let left = Math.abs(days); left > 0; ) {
		at.setUTCDate(at.getUTCDate() + Math.sign(days));
		if (at.getUTCDay() % 6 !== 0 && !HOLIDAYS.has(iso(at))) left--;
	}
	return at;
}

function week(d: Date): string {
	const at = new Date(Date.UTC(d.getUTCFullYear(), d.getUTCMonth(), d.getUTCDate()));
	at.setUTCDate(at.getUTCDate() + 4 - (at.getUTCDay() || 7));
	const first = Date.UTC(at.getUTCFullYear(), 0, 1);
	return `${at.getUTCFullYear()}-W${String(Math.ceil(((at.getTime() - first) / 86400000 + 1) / 7)).padStart(2, '0')}`;
}

export default createAction({
	description: 'Business days, weeks, months, time zones by offset, ages',
	input: z.object({ days: z.array(z.string()) }),
	output: z.any(),
	exec: async (_nango, { days }) =>
		days.map((text) => {
			const d = new Date(text);
			if (isNaN(+d)) return { text, bad: String(d), json: JSON.stringify({ d }) };
			const month = new Date(Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + 1, 0));
			return { text, plus: iso(addBusinessDays(d, 5)), minus: iso(addBusinessDays(d, -3)), week: week(d), last: month.getUTCDate(), quarter: Math.floor(d.getUTCMonth() / 3) + 1, unix: Math.floor(d.getTime() / 1000), leap: new Date(d.getUTCFullYear(), 1, 29).getMonth() === 1, string: d.toString(), local: [d.getFullYear(), d.getMonth(), d.getDate(), d.getHours(), d.getTimezoneOffset()], utc: d.toUTCString(), age: Math.floor((Date.UTC(2024, 5, 1) - d.getTime()) / 31557600000) };
		})
});
