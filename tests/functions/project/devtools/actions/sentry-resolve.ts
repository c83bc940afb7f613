import { createAction } from 'nango';
import { z } from 'zod';

const Links = z.string().transform((header) => header.split(', ').map((part) => Object.fromEntries([['url', part.match(/<(.*?)>/)?.[1] ?? ''], ...[...part.matchAll(/(\w+)="([^"]*)"/g)].map((m) => [m[1]!, m[2]!])]) as Record<string, string>));

export default createAction({
	description: 'Link headers with results and cursors',
	version: '1.0.0',
	input: z.object({ org: z.string(), query: z.string() }),
	output: z.any(),
	exec: async (nango, { org, query }) => {
		const ids: string[] = [];
		let cursor: string | undefined;
		while (true) {
			const { data, headers } = await nango.get<{ id: string; count: string }[]>({ endpoint: `/api/0/organizations/${org}/issues/`, params: { query, ...(cursor !== undefined ? { cursor } : {}) } });
			ids.push(...data.filter(({ count }) => parseInt(count) > 1).map(({ id }) => id));
			const next = Links.parse(headers['link'] ?? '').find(({ rel }) => rel === 'next');
			if (next?.['results'] !== 'true') break;
			cursor = next['cursor'];
		}
		if (!ids.length) return { resolved: 0 };
		const response = await nango.put({ endpoint: `/api/0/organizations/${org}/issues/?${ids.map((id) => `id=${id}`).join('&')}`, data: { status: 'resolved' } });
		return { resolved: ids.length, status: response.status, text: response.data || '(empty)' };
	}
});
