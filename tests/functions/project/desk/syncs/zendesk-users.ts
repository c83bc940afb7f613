import { createSync } from 'nango';
import { z } from 'zod';

const User = z.object({ id: z.string(), name: z.string(), email: z.string().nullable(), role: z.enum(['end-user', 'agent', 'admin']), organization_id: z.string().optional(), created_at: z.string(), suspended: z.boolean() });

export default createSync({
	description: 'Users by incremental export, until the end of the stream',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	syncType: 'incremental',
	checkpoint: z.object({ cursor: z.string() }),
	models: { User },
	exec: async (nango) => {
		let cursor = (await nango.getCheckpoint())?.cursor;
		for (;;) {
			const { data } = await nango.get<any>({
				endpoint: '/api/v2/incremental/users/cursor.json',
				params: cursor ? { cursor, per_page: '2' } : { start_time: '0', per_page: '2' },
				retries: 3
			});
			const [gone, present] = (data.users as any[]).reduce<[any[], any[]]>((both, user) => (both[user.active === false ? 0 : 1].push(user), both), [[], []]);
			if (present.length) {
				await nango.batchSave(
					present.map((user) => ({
						id: String(user.id),
						name: user.name,
						email: user.email ?? null,
						role: user.role,
						...(user.organization_id != null && { organization_id: BigInt(user.organization_id).toString() }),
						created_at: user.created_at,
						suspended: Boolean(user.suspended)
					})),
					'User'
				);
			}
			if (gone.length) await nango.batchDelete(gone.map(({ id }) => ({ id: String(id) })) as z.infer<typeof User>[], 'User');
			if (data.after_cursor) {
				cursor = data.after_cursor as string;
				await nango.saveCheckpoint({ cursor });
			}
			if (data.end_of_stream) return;
		}
	}
});
