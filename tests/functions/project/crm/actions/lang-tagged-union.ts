import { createAction } from 'nango';
import * as z from 'zod';

const Event = z.discriminatedUnion('kind', [
	z.object({ kind: z.literal('created'), id: z.string(), at: z.coerce.date() }),
	z.object({ kind: z.literal('moved'), id: z.string(), from: z.string(), to: z.string() }),
	z.object({ kind: z.literal('deleted'), id: z.string(), reason: z.string().nullish() })
]);
type Event = z.infer<typeof Event>;

const describeEvent = (event: Event): string => {
	switch (event.kind) {
		case 'created':
			return `${event.id} created ${event.at.toISOString()}`;
		case 'moved':
			return `${event.id}: ${event.from} -> ${event.to}`;
		case 'deleted':
			return `${event.id} deleted${event.reason ? ` (${event.reason})` : ''}`;
		default: {
			const never: never = event;
			return never;
		}
	}
};

export default createAction({
	description: 'Tagged unions through zod',
	input: z.object({ events: z.array(z.any()) }),
	output: z.any(),
	exec: async (_nango, { events }) =>
		events.map((raw) => {
			const parsed = Event.safeParse(raw);
			return parsed.success ? describeEvent(parsed.data) : parsed.error.issues.map((issue) => [issue.code, issue.path.join('.'), issue.message]);
		})
});
