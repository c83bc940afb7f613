import { createSync } from 'nango';
import * as z from 'zod';

const Row = z.object({ id: z.string(), keys: z.array(z.string()) });

export default createSync({
	description: 'The members of nango in a sync',
	frequency: 'every hour',
	autoStart: false,
	models: { Row },
	exec: async (nango) => {
		const any = nango as any;
		const values = [any.variant, typeof any.lastSyncDate, any.track_deletes, any.emptyCache, any.scriptType, any.isCLI, typeof any.syncId, typeof any.syncJobId, any.provider, any.environmentName, any.getVariant?.()];
		await nango.log(JSON.stringify(values), { level: 'warn' });
		const returned = [await nango.batchSave([], 'Row'), await nango.batchDelete([], 'Row'), await nango.batchUpdate([], 'Row'), await nango.trackDeletesStart('Row'), await nango.setMergingStrategy({ strategy: 'override' }, 'Row')];
		await nango.log(JSON.stringify(returned.map((value) => value ?? null)), { level: 'warn' });
		await nango.batchSave([{ id: 'keys', keys: Object.keys(nango).sort() }], 'Row');
		const { deletedKeys } = await nango.trackDeletesEnd('Row');
		await nango.log(JSON.stringify(deletedKeys), { level: 'warn' });
	}
});
