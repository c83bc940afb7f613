import { createSync } from 'nango';
import { z } from 'zod';

const Project = z.object({ id: z.string(), name: z.string(), progress: z.number(), lead: z.string().nullable(), target: z.string().nullable() });
const query = (cursor: string | null, since: string | undefined) => `
	query { projects(first: 50${cursor ? `, after: ${JSON.stringify(cursor)}` : ''}${since ? `, filter: { updatedAt: { gte: "${since}" } }` : ''}) {
		nodes { id name progress updatedAt targetDate lead { email } }
		pageInfo { hasNextPage endCursor }
	} }`;

export default createSync({
	description: 'GraphQL with the cursor in the query text',
	version: '1.0.0',
	frequency: 'every 5 min',
	autoStart: true,
	checkpoint: z.object({ since: z.string() }),
	models: { Project },
	exec: async (nango) => {
		const since = (await nango.getCheckpoint())?.since;
		let cursor: string | null = null;
		let latest = 0;
		while (true) {
			const response: { data: { data?: any; errors?: { message: string }[] } } = await nango.post({ endpoint: '/graphql', data: { query: query(cursor, since).replace(/\s+/g, ' ').trim() } });
			const { nodes, pageInfo } = response.data.data.projects;
			await nango.batchSave(nodes.map((n: any) => {
				latest = Math.max(latest, Date.parse(n.updatedAt));
				return { id: n.id, name: n.name, progress: Math.round(n.progress * 100), lead: n.lead?.email ?? null, target: n.targetDate };
			}), 'Project');
			if (!pageInfo.hasNextPage) break;
			cursor = pageInfo.endCursor;
		}
		if (latest > 0) await nango.saveCheckpoint({ since: new Date(latest + 1).toISOString() });
	}
});
