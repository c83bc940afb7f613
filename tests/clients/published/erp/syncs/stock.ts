import { createSync } from 'nango';
import * as z from 'zod';

export default createSync({
	description: 'Stock',
	frequency: 'every hour',
	autoStart: false,
	trackDeletes: false,
	syncType: 'full',
	models: { Stock: z.object({ id: z.string(), count: z.number() }) },
	checkpoint: z.object({ n: z.number() }),
	exec: async (nango) => {
		await nango.trackDeletesStart('Stock');
		await nango.batchSave([{ id: 'a', count: 1 }], 'Stock');
		await nango.trackDeletesEnd('Stock');
	}
});
