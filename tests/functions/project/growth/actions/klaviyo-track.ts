import { createAction } from 'nango';
import { z } from 'zod';

const JsonApi = <A extends z.ZodRawShape>(type: string, attributes: A) => z.object({ type: z.literal(type), id: z.string().optional(), attributes: z.object(attributes) });
const Profile = JsonApi('profile', { email: z.email().optional(), phone_number: z.e164().optional(), properties: z.record(z.string(), z.any()).optional() }).refine(({ attributes: a }) => a.email ?? a.phone_number, { error: 'A profile needs an email or a phone number', path: ['attributes'] });

export default createAction({
	description: 'Track an event in JSON:API form',
	version: '1.0.0',
	input: z.object({ profile: z.record(z.string(), z.any()), metric: z.string(), value: z.number().optional(), time: z.number().optional() }),
	output: z.any(),
	exec: async (nango, input) => {
		const profile = Profile.parse({ type: 'profile', attributes: input.profile });
		const attributes = { time: input.time === undefined ? undefined : new Date(input.time).toISOString(), value: input.value, metric: { data: { type: 'metric', attributes: { name: input.metric } } }, profile: { data: profile } };
		const response = await nango.post({ endpoint: '/api/events/', data: { data: { type: 'event', attributes } }, headers: { revision: '2024-06-15', accept: 'application/vnd.api+json', 'content-type': 'application/vnd.api+json' } });
		return { accepted: response.status === 202, body: response.data };
	}
});
