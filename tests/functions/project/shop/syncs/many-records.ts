import { createSync } from 'nango';
import * as z from 'zod';

const Event = z.object({ id: z.string(), kind: z.string(), at: z.string() });

export default createSync({
	description: 'Thousands of records in one call, twice; some ids come twice',
	frequency: 'every hour',
	autoStart: false,
	models: { Event },
	exec: async (nango) => {
		const { data } = await nango.get<{ from: number; to: number }>({ endpoint: '/range' });
		const events = Array.from({ length: data.to - data.from }, (_, i) => {
			const n = data.from + i;
			return { id: n % 2 ? String(n) : (n as any), kind: ['open', 'click', 'bounce'][n % 3]!, at: new Date(1.7e12 + n * 1000).toISOString() };
		});
		const saved = await nango.batchSave(events, 'Event');
		await nango.log(`saved ${saved} ${events.length}`, { level: 'warn' });
	}
});
