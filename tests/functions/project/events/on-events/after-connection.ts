import { createOnEvent } from 'nango';
import * as z from 'zod';

export default createOnEvent({
	description: 'Remembers where the connection lives',
	event: 'post-connection-creation',
	metadata: z.object({ region: z.string(), hook: z.string() }),
	exec: async (nango) => {
		const { data } = await nango.get<{ region: string }>({ endpoint: '/me' });
		const hook = await nango.post<{ id: string }>({ endpoint: '/hooks', data: { url: `https://example.com/${data.region}`, events: ['*'] } });
		await nango.updateMetadata({ region: data.region, hook: hook.data.id });
		await nango.log('connected', { level: 'warn' });
	}
});
