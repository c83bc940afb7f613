import { createAction } from 'nango';
import { z } from 'zod';

const MAX_BYTES = 300;

export default createAction({
	description: 'Send events in batches of limited bytes',
	version: '1.0.0',
	input: z.object({ events: z.array(z.object({ event: z.string(), userId: z.string(), properties: z.record(z.string(), z.unknown()).optional(), timestamp: z.string().optional() })) }),
	output: z.object({ batches: z.array(z.object({ events: z.number(), bytes: z.number() })), dropped: z.array(z.string()) }),
	exec: async (nango, { events }) => {
		const batches: { events: typeof events; bytes: number }[] = [];
		const dropped: string[] = [];
		for (const event of events) {
			const bytes = Buffer.byteLength(JSON.stringify(event));
			if (bytes > MAX_BYTES) {
				dropped.push(`${event.event}: ${bytes} > ${MAX_BYTES}`);
				continue;
			}
			const last = batches.at(-1);
			if (!last || last.bytes + bytes > MAX_BYTES) batches.push({ events: [event], bytes });
			else {
				last.events.push(event);
				last.bytes += bytes;
			}
		}
		const auth = Buffer.from('write-key:').toString('base64');
		await batches.reduce((before, { events: batch }) => before.then(() => nango.post({ endpoint: '/v1/batch', headers: { 'X-Auth': `Basic ${auth}` }, data: { batch: batch.map((e) => ({ type: 'track', ...e })), sentAt: '2024-01-05T00:00:00.000Z' } })).then(() => undefined), Promise.resolve<void>(undefined));
		return { batches: batches.map(({ events: list, bytes }) => ({ events: list.length, bytes })), dropped };
	}
});
