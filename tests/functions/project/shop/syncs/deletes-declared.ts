import { createSync } from 'nango';
import * as z from 'zod';

const Member = z.object({ id: z.string(), name: z.string() });

export default createSync({
	description: 'Deletions are tracked by declaration',
	frequency: 'every hour',
	autoStart: false,
	trackDeletes: true,
	models: { Member },
	exec: async (nango) => {
		const { data } = await nango.get<any[]>({ endpoint: '/members' });
		await nango.batchSave(data, 'Member');
	}
});
