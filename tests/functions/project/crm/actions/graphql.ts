import { createAction } from 'nango';
import * as z from 'zod';

const QUERY = `
	query Issues($after: String, $first: Int!) {
		issues(after: $after, first: $first) { nodes { id title } pageInfo { hasNextPage endCursor } }
	}
`;

export default createAction({
	description: 'GraphQL with cursors and with errors in a 200',
	input: z.object({ first: z.number() }),
	output: z.any(),
	exec: async (nango, { first }) => {
		const titles: string[] = [];
		let after: string | null = null;
		do {
			const response: any = await nango.post({ endpoint: '/graphql', data: { query: QUERY.replace(/\s+/g, ' ').trim(), variables: { first, after } } });
			const { data, errors } = response.data;
			if (errors?.length) throw new nango.ActionError({ errors: errors.map(({ message, path = [] }: any) => ({ message, path: path.join('.') })) });
			titles.push(...data.issues.nodes.map((node: any) => node.title));
			after = data.issues.pageInfo.hasNextPage ? data.issues.pageInfo.endCursor : null;
		} while (after);
		return titles;
	}
});
