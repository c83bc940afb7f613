import { createAction } from 'nango';
import { z } from 'zod';

export default createAction({
	description: 'All tags, next pages as absolute links in the body',
	version: '1.0.0',
	input: z.void(),
	output: z.object({ tags: z.array(z.object({ id: z.string(), name: z.string(), path: z.string() })) }),
	exec: async (nango) => {
		const all = new Map<string, { id: string; name: string; parent: string | null }>();
		for await (const page of nango.paginate<{ id: string; name: string; _links: { related: { parent_tag: string | null } } }>({ endpoint: '/tags', params: { limit: 100 }, paginate: { type: 'link', link_path_in_response_body: '_pagination.next', response_path: '_results' }, retries: 3 })) {
			for (const tag of page) {
				const parent = tag._links.related.parent_tag?.split('/').pop() ?? null;
				all.set(tag.id, { id: tag.id, name: tag.name, parent });
			}
		}
		const pathOf = (id: string, seen = new Set<string>()): string => {
			const tag = all.get(id);
			if (!tag || seen.has(id)) return '';
			seen.add(id);
			return tag.parent ? `${pathOf(tag.parent, seen)}/${tag.name}` : tag.name;
		};
		const tags = [...all.values()].map(({ id, name }) => ({ id, name, path: pathOf(id) }));
		tags.sort((one, other) => one.path.localeCompare(other.path, undefined, { numeric: true }));
		return { tags };
	}
});
