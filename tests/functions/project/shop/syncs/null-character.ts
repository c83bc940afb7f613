import { createSync } from 'nango';
import * as z from 'zod';

const Text = z.object({ id: z.string(), text: z.string() });

export default createSync({
	description: 'U+0000 in records',
	frequency: 'every hour',
	autoStart: false,
	models: { Text },
	exec: async (nango) => {
		await nango.batchSave([{ id: 'fine', text: 'x' }], 'Text');
		await nango.batchSave([{ id: 'nul', text: 'a\u0000b' }], 'Text');
	}
});
