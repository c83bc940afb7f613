import { createSync } from 'nango';
import { z } from 'zod';

const Profile = z.object({ id: z.string(), email: z.string().nullable(), name: z.string(), lists: z.array(z.string()), updated: z.string() });

export default createSync({
	description: 'JSON:API with included, links.next',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	checkpoint: z.object({ updated: z.string() }),
	models: { Profile },
	exec: async (nango) => {
		const checkpoint = await nango.getCheckpoint();
		let newest = checkpoint?.updated ?? '';
		const names = new Map<string, string>();
		for await (const page of nango.paginate<any>({
			endpoint: '/api/profiles/',
			params: { 'page[size]': '100', include: 'lists', sort: 'updated', ...(checkpoint && { filter: `greater-than(updated,${checkpoint.updated})` }) },
			headers: { revision: '2024-06-15' },
			paginate: { type: 'link', link_path_in_response_body: 'links.next', response_path: 'data', on_page: async ({ nextPageParam, response }) => {
				for (const { type, id, attributes } of (response as any).data.included ?? []) if (type === 'list') names.set(id, attributes.name);
				await nango.log(`next ${String(nextPageParam).replace(/^https?:\/\/[^/]+/, '')}`, { level: 'warn' });
			} }
		})) {
			await nango.batchSave(page.map(({ id, attributes: a, relationships: { lists: { data: lists = [] } = {} } = {} }: any) => {
				newest = [newest, a.updated].sort().pop()!;
				return { id, email: a.email ?? null, name: [a.first_name, a.last_name].filter((n) => n).join(' '), lists: lists.map((l: any) => names.get(l.id) ?? l.id), updated: a.updated };
			}), 'Profile');
		}
		if (newest) await nango.saveCheckpoint({ updated: newest });
	}
});
