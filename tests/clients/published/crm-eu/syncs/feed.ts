import { createSync } from 'nango';
import * as z from 'zod';

const sync = createSync({
	description: '',
	frequency: 'every day',
	trackDeletes: true,
	models: { FeedItem: z.object({ id: z.string() }) },
	exec: async (nango) => {
		await nango.batchSave([{ id: '1' }], 'FeedItem');
	}
});
export default sync;
