import { createSync } from 'nango';
import { z } from 'zod';

const User = z.object({ id: z.string(), email: z.string().nullable(), displayName: z.string(), groups: z.array(z.string()), deletedAt: z.string().nullable() });

export default createSync({
	description: 'Users of a delta query; @removed are deleted; groups joined',
	version: '1.0.0',
	frequency: 'every 10 minutes',
	autoStart: true,
	checkpoint: z.object({ deltaLink: z.string() }),
	models: { User },
	exec: async (nango) => {
		const groups = new Map<string, string[]>();
		const { data: all } = await nango.get<any>({ endpoint: '/v1.0/groups', params: { $expand: 'members($select=id)' } });
		for (const { displayName, members } of all.value) for (const { id } of members ?? []) groups.set(id, (groups.get(id) ?? []).concat(displayName));
		let link: string | null = (await nango.getCheckpoint())?.deltaLink ?? null;
		let endpoint = link ? new URL(link).pathname.replace(/^\/api/, '') + new URL(link).search : '/v1.0/users/delta?$select=id,displayName,mail';
		for (;;) {
			const { data } = await nango.get<any>({ endpoint, retries: 3 });
			const removed = data.value.filter((u: any) => '@removed' in u);
			const users = data.value.filter((u: any) => !('@removed' in u));
			await nango.batchSave(users.map((u: any) => ({ id: u.id, email: u.mail?.toLowerCase() ?? null, displayName: u.displayName, groups: groups.get(u.id)?.sort() ?? [], deletedAt: null })), 'User');
			await nango.batchDelete(removed.map((u: any) => ({ id: u.id })), 'User');
			if (data['@odata.deltaLink']) {
				await nango.saveCheckpoint({ deltaLink: data['@odata.deltaLink'] });
				return;
			}
			const next = new URL(data['@odata.nextLink']);
			endpoint = `${next.pathname.replace('/api', '')}${next.search}`;
			link = next.href;
		}
	}
});
