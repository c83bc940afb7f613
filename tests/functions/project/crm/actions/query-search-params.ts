import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'A query built with URLSearchParams and sent as text',
	input: z.object({ tags: z.array(z.string()) }),
	output: z.any(),
	exec: async (nango, { tags }) => {
		const params = new URLSearchParams({ page: '1' });
		for (const tag of tags) params.append('tag', tag);
		params.sort();
		const { data } = await nango.get({ endpoint: `/q?${params.toString()}` });
		const again = await nango.get({ endpoint: '/q', params: params.toString() });
		return { data, again: again.data, has: params.has('tag'), all: params.getAll('tag'), size: [...params].length };
	}
});
