import { createSync } from 'nango';
import * as z from 'zod';

const Row = z.object({ id: z.string(), n: z.number() });

export default createSync({
	description: 'A merging strategy is set once for a model',
	frequency: 'every hour',
	autoStart: false,
	models: { Row },
	exec: async (nango) => {
		await nango.setMergingStrategy({ strategy: 'ignore_if_modified_after' }, 'Row');
		const { data } = await nango.get<any[]>({ endpoint: '/rows' });
		await nango.batchSave(data, 'Row');
	}
});
