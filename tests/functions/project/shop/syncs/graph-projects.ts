import { createSync } from 'nango';
import * as z from 'zod';

const Project = z.object({ id: z.string(), name: z.string(), lead: z.string().nullable(), members: z.array(z.string()) });
const QUERY = `query ($after: String, $since: DateTime!) {
	projects(first: 2, after: $after, filter: { updatedAt: { gt: $since } }) {
		nodes { id name lead { email } members { nodes { id } } }
		pageInfo { hasNextPage endCursor }
	}
}`;

export default createSync({
	description: 'Projects over GraphQL',
	frequency: 'every 2 hours',
	autoStart: false,
	models: { Project },
	checkpoint: z.object({ since: z.string() }),
	exec: async (nango) => {
		const since = (await nango.getCheckpoint())?.since ?? '1970-01-01T00:00:00.000Z';
		let after: string | null = null;
		for (;;) {
			const response: any = await nango.post({ endpoint: '/graphql', data: { query: QUERY, variables: { after, since } }, headers: { 'x-client': 'sync/1' } });
			const { data, errors } = response.data;
			if (errors?.length) throw new Error(`GraphQL: ${errors.map((e: any) => e.message).join('; ')}`);
			const { nodes, pageInfo } = data.projects;
			await nango.batchSave(nodes.map((node: any) => ({ id: node.id, name: node.name, lead: node.lead?.email ?? null, members: node.members.nodes.map((m: any) => m.id) })), 'Project');
			if (!pageInfo.hasNextPage) break;
			after = pageInfo.endCursor;
		}
		await nango.saveCheckpoint({ since: '2024-01-05T10:20:30.000Z' });
	}
});
