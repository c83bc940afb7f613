import { createSync } from 'nango';
import { z } from 'zod';

const Event = z.object({ id: z.string(), summary: z.string(), start: z.string(), end: z.string(), allDay: z.boolean(), minutes: z.number(), attendees: z.array(z.string()) });

export default createSync({
	description: 'Events by sync token; an expired token means all again',
	version: '1.0.0',
	frequency: 'every 5 minutes',
	autoStart: true,
	checkpoint: z.object({ sync_token: z.string(), kind: z.string() }),
	models: { Event },
	exec: async (nango) => {
		const checkpoint = await nango.getCheckpoint();
		let syncToken = checkpoint?.sync_token;
		let pageToken: string | undefined;
		while (true) {
			let data: any;
			try {
				({ data } = await nango.get({ endpoint: '/calendar/v3/calendars/primary/events', params: { singleEvents: 'true', maxResults: '250', ...(syncToken ? { syncToken } : { timeMin: '2024-01-01T00:00:00Z' }), ...(pageToken ? { pageToken } : {}) }, retries: 3 }));
			} catch (error: any) {
				if (error.response?.status !== 410) throw error;
				await nango.log('The sync token expired', { level: 'warn' });
				await nango.clearCheckpoint();
				syncToken = pageToken = undefined;
				continue;
			}
			const cancelled = data.items.filter((event: any) => event.status === 'cancelled');
			const events = data.items
				.filter((event: any) => event.status !== 'cancelled')
				.map(({ id, summary, start, end, attendees = [] }: any) => {
					const [from, to] = [start, end].map((when: any) => new Date(when.dateTime ?? when.date));
					return { id, summary: summary ?? '(No title)', start: from!.toISOString(), end: to!.toISOString(), allDay: 'date' in start, minutes: (to!.getTime() - from!.getTime()) / 60e3, attendees: attendees.map((a: any) => a.email).sort() };
				});
			if (events.length) await nango.batchSave(events, 'Event');
			if (cancelled.length) await nango.batchDelete(cancelled.map(({ id }: any) => ({ id })), 'Event');
			pageToken = data.nextPageToken;
			if (!pageToken) {
				await nango.saveCheckpoint({ sync_token: data.nextSyncToken, kind: syncToken ? 'delta' : 'full' });
				break;
			}
		}
	}
});
