import { createAction } from 'nango';
import { z } from 'zod';

const Busy = z.object({ start_time: z.coerce.date(), end_time: z.coerce.date(), type: z.enum(['calendly', 'external', 'reserved']) });

export default createAction({
	description: 'Free slots between busy times',
	version: '1.0.0',
	input: z.object({ user: z.string(), day: z.iso.date(), minutes: z.int().default(30) }),
	output: z.object({ slots: z.array(z.object({ from: z.string(), to: z.string() })), free_minutes: z.number() }),
	exec: async (nango, input) => {
		const length = (input.minutes ?? 30) * 60_000;
		const [open, close] = [9, 17].map((hour) => Date.parse(`${input.day}T${String(hour).padStart(2, '0')}:00:00Z`)) as [number, number];
		const response = await nango.get({ endpoint: '/user_busy_times', params: { user: `https://api.example.com/users/${input.user}`, start_time: new Date(open).toISOString(), end_time: new Date(close).toISOString() } });
		const busy = z.array(Busy).parse(response.data.collection).toSorted((a, b) => a.start_time.getTime() - b.start_time.getTime());
		const slots: { from: string; to: string }[] = [];
		let at = open;
		let free = 0;
		for (const [from, to] of [...busy.map((b): [number, number] => [b.start_time.valueOf(), b.end_time.valueOf()]), [close, close] as [number, number]]) {
			free += Math.max(0, from - at) / 60_000;
			while (at + length <= from) {
				slots.push({ from: new Date(at).toISOString(), to: new Date((at += length)).toISOString() });
			}
			at = Math.max(at, to);
		}
		return { slots, free_minutes: free };
	}
});
