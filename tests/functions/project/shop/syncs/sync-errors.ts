import { createSync } from 'nango';
import * as z from 'zod';

const Row = z.object({ id: z.string() });

export default createSync({
	description: 'Fails in the way its metadata says',
	frequency: 'every hour',
	autoStart: false,
	models: { Row },
	metadata: z.object({ how: z.string() }),
	exec: async (nango) => {
		const { how } = (await nango.getMetadata()) as { how: string };
		await nango.batchSave([{ id: 'before' }], 'Row');
		if (how === 'error') throw new Error('boom 💥');
		if (how === 'type') throw new TypeError('typed');
		if (how === 'provider') await nango.get({ endpoint: '/broken' });
		if (how === 'model') await nango.batchSave([{ id: '1' }], 'Unknown' as never);
		if (how === 'id') await nango.batchSave([{ name: 'nobody' } as any], 'Row');
		if (how === 'text') throw 'just text';
		if (how === 'zod') z.object({ a: z.string() }).parse({ a: 1 });
		if (how === 'end') await nango.trackDeletesEnd('Row');
		if (how === 'caught') {
			try {
				await nango.get({ endpoint: '/broken' });
			} catch (error: any) {
				await nango.log(`status ${error.response.status}`, { level: 'error' });
			}
		}
	}
});
