import { createAction } from 'nango';
import { z } from 'zod';

export default createAction({
	description: 'Who is on call, repeated query parameters, times by zone',
	version: '1.0.0',
	input: z.object({ schedules: z.array(z.string()), at: z.iso.datetime() }),
	output: z.any(),
	exec: async (nango, { schedules, at }) => {
		const query = new URLSearchParams();
		schedules.forEach((id) => query.append('schedule_ids[]', id));
		query.set('since', at);
		query.append('include[]', 'users');
		const { data } = await nango.get({ endpoint: `/oncalls?${query}`, headers: { From: 'ž@example.com'.normalize('NFD').replace(/[\u0300-\u036f]/g, '') } });
		const zone = (timeZone: string) => new Intl.DateTimeFormat('en-US', { timeZone, hour: '2-digit', minute: '2-digit', hour12: false, weekday: 'short' }).format(new Date(at));
		const levels: Map<number, string[]> = data.oncalls.reduce((map: Map<number, string[]>, { escalation_level: level, user }: any) => map.set(level, [...(map.get(level) ?? []), user.summary]), new Map());
		return { levels: [...levels.entries()].sort(([a], [b]) => a - b).map(([level, names]) => `${level}: ${[...new Set(names)].join(' & ')}`), query: query.toString(), utc: zone('UTC') };
	}
});
