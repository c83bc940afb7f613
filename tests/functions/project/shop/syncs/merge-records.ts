import { createSync } from 'nango';
import * as z from 'zod';

const Account = z.object({ id: z.string(), name: z.string(), owner: z.object({ id: z.string(), team: z.object({ name: z.string(), size: z.number() }).partial() }).partial(), tags: z.array(z.string()), score: z.number().nullable() });

export default createSync({
	description: 'Saves, then merges parts into what is there',
	frequency: 'every hour',
	autoStart: false,
	models: { Account },
	exec: async (nango) => {
		await nango.batchSave(
			[
				{ id: 'a', name: 'A', owner: { id: 'o1', team: { name: 't', size: 3 } }, tags: ['x', 'y'], score: 1 },
				{ id: 'b', name: 'B', owner: {}, tags: [], score: null }
			],
			'Account'
		);
		const updated = await nango.batchUpdate(
			[
				{ id: 'a', owner: { team: { size: 4 } }, tags: ['z'] } as any,
				{ id: 'b', owner: { id: 'o2' }, score: 2.5 } as any,
				{ id: 'nobody', name: 'not there' } as any
			],
			'Account'
		);
		const again = await nango.batchUpdate([{ id: 'a', score: null } as any], 'Account');
		const known = await nango.getRecordsByIds(['a', 'b', 'nobody'], 'Account');
		await nango.log(JSON.stringify([updated, again, known.size, known.get('a')?.owner, known.has('nobody')]), { level: 'warn' });
		await nango.batchDelete([{ id: 'b' }], 'Account');
	}
});
