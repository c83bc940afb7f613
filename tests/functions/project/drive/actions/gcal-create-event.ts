import { createAction } from 'nango';
import { z } from 'zod';

const When = z.union([z.object({ date: z.iso.date() }).strict(), z.object({ dateTime: z.iso.datetime({ offset: true, local: true }), timeZone: z.string().optional() }).strict()]);
const InputSchema = z.object({ summary: z.string(), start: When, end: When.optional(), minutes: z.number().positive().optional(), attendees: z.array(z.email()).max(200).optional(), recurrence: z.object({ freq: z.enum(['DAILY', 'WEEKLY', 'MONTHLY']), count: z.number().int().optional(), until: z.iso.date().optional(), byDay: z.array(z.enum(['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'])).optional() }).optional(), sendUpdates: z.enum(['all', 'externalOnly', 'none']).default('none') });
type When = z.infer<typeof When>;

const endOf = (start: When, minutes: number): When => {
	if ('date' in start) {
		const day = new Date(start.date);
		day.setUTCDate(day.getUTCDate() + 1);
		return { date: day.toISOString().substring(0, 10) };
	}
	return { ...start, dateTime: new Date(Date.parse(start.dateTime) + minutes * 60_000).toISOString().replace('.000Z', 'Z') };
};

export default createAction({
	description: 'Create an event',
	version: '1.0.0',
	input: InputSchema,
	output: z.any(),
	exec: async (nango, raw) => {
		const parsed = InputSchema.safeParse(raw);
		if (!parsed.success) throw new nango.ActionError({ type: 'validation', errors: z.treeifyError(parsed.error) });
		const { recurrence, attendees, sendUpdates, start, end, minutes, summary } = parsed.data;
		const rule = recurrence && Object.entries({ FREQ: recurrence.freq, COUNT: recurrence.count, UNTIL: recurrence.until?.replace(/-/g, ''), BYDAY: recurrence.byDay?.join(',') }).filter(([, value]) => value !== undefined).map((pair) => pair.join('=')).join(';');
		const response = await nango.post({
			endpoint: '/calendar/v3/calendars/primary/events',
			params: { sendUpdates, conferenceDataVersion: 1 },
			data: { summary, start, end: end ?? endOf(start, minutes ?? 30), ...(rule && { recurrence: [`RRULE:${rule}`] }), attendees: attendees?.map((email) => ({ email, responseStatus: 'needsAction' as const })) }
		});
		return { id: response.data.id, link: response.data.htmlLink ?? null, status: response.status };
	}
});
