import { createSync } from 'nango';
import * as z from 'zod';

const Member = z.object({ id: z.string(), name: z.string() });

export default createSync({
	description: 'Tracking of deletions goes on over runs that fail',
	frequency: 'every hour',
	autoStart: false,
	models: { Member },
	checkpoint: z.object({ page: z.number() }),
	exec: async (nango) => {
		await nango.trackDeletesStart('Member');
		let page = (await nango.getCheckpoint())?.page ?? 1;
		for (; page <= 3; page++) {
			const { data } = await nango.get<any>({ endpoint: '/members', params: { page } });
			await nango.batchSave(data, 'Member');
			await nango.saveCheckpoint({ page: page + 1 });
		}
		const { deletedKeys } = await nango.trackDeletesEnd('Member');
		await nango.clearCheckpoint();
		await nango.log(JSON.stringify(deletedKeys.sort()), { level: 'warn' });
	}
});
