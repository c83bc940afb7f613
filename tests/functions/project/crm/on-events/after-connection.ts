import { createOnEvent } from 'nango';
import * as z from 'zod';

export default createOnEvent({
	description: 'Remembers where the connection lives',
	event: 'post-connection-creation',
	metadata: z.object({ region: z.string() }),
	exec: async (nango) => {
		const { data } = await nango.get<{ region: string }>({ endpoint: '/me' });
		await nango.setMetadata({ region: data.region });
	}
});
