import { createSync } from 'nango';
import * as z from 'zod';

const Member = z.object({ id: z.string(), name: z.string() });

export default createSync({
	description: 'Deletions by the deprecated call',
	frequency: 'every hour',
	autoStart: false,
	models: { Member },
	exec: async (nango) => {
		const { data } = await nango.get<any[]>({ endpoint: '/members' });
		await nango.batchSend(data, 'Member');
		const { deletedKeys } = await nango.deleteRecordsFromPreviousExecutions('Member');
		await nango.log(JSON.stringify(deletedKeys.sort()), { level: 'warn' });
	}
});
