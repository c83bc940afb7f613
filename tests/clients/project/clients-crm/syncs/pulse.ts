import { createSync } from 'nango';
import * as z from 'zod';

const Beat = z.object({ id: z.string(), first: z.boolean() });

const sync = createSync({
	description: 'Runs by itself and saves one record, which says in which variant.',
	version: '1.0.0',
	frequency: 'every half hour',
	autoStart: true,
	models: { Beat },
	exec: async (nango) => {
		await nango.batchSave([{ id: nango.variant, first: nango.lastSyncDate === undefined }], 'Beat');
	}
});

export default sync;
