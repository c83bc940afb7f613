import { createAction } from 'nango';
import { z } from 'zod';

const IssueNode = z.object({
	id: z.string(),
	identifier: z.string(),
	title: z.string(),
	estimate: z.number().nullable(),
	state: z.object({ name: z.string(), type: z.enum(['triage', 'backlog', 'unstarted', 'started', 'completed', 'canceled']) }),
	assignee: z.object({ email: z.email() }).nullable(),
	labels: z.object({ nodes: z.array(z.object({ name: z.string() })) })
});
const Answer = z.object({
	data: z.object({ issues: z.object({ nodes: z.array(IssueNode), pageInfo: z.object({ hasNextPage: z.boolean(), endCursor: z.string().nullable() }) }) }).nullish(),
	errors: z.array(z.object({ message: z.string(), path: z.array(z.union([z.string(), z.number()])).optional(), extensions: z.object({ code: z.string().optional() }).catchall(z.unknown()).optional() })).optional()
});

const QUERY = /* GraphQL */ `
	query Issues($first: Int!, $after: String, $filter: IssueFilter) {
		issues(first: $first, after: $after, filter: $filter) {
			nodes { id identifier title estimate state { name type } assignee { email } labels { nodes { name } } }
			pageInfo { hasNextPage endCursor }
		}
	}
`;

export default createAction({
	description: 'Issues by GraphQL, grouped by state',
	version: '1.0.0',
	input: z.object({ team: z.string().optional() }),
	output: z.any(),
	exec: async (nango, input) => {
		const byState: Record<string, { count: number; points: number; issues: string[] }> = {};
		let after: string | null = null;
		for (let hasNextPage = true; hasNextPage; ) {
			const response: { data: unknown } = await nango.post({
				endpoint: '/graphql',
				data: { query: QUERY.trim(), variables: { first: 50, after, filter: input.team ? { team: { key: { eq: input.team } } } : undefined } },
				retries: 3
			});
			const { data, errors } = Answer.parse(response.data);
			if (errors?.length) {
				const codes = errors.map((e) => e.extensions?.code ?? 'UNKNOWN');
				throw new nango.ActionError({ type: codes.includes('RATELIMITED') ? 'rate_limited' : 'graphql_error', message: errors.map(({ message, path }) => (path ? `${message} (${path.join('.')})` : message)).join('; ') });
			}
			if (!data) break;
			for (const { state, identifier, estimate, title, labels } of data.issues.nodes) {
				const group = (byState[state.type] ||= { count: 0, points: 0, issues: [] });
				group.count += 1;
				group.points += estimate ?? 0;
				group.issues.push([identifier, title, ...labels.nodes.map((l) => `#${l.name}`)].join(' '));
			}
			({ hasNextPage, endCursor: after } = data.issues.pageInfo);
		}
		return byState;
	}
});
