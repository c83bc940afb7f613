import { createAction } from 'nango';
import * as z from 'zod';

interface Comment {
	id: number;
	parent: number | null;
	text: string;
}
type Node = Comment & { depth: number; replies: Node[]; readonly path: string };

export default createAction({
	description: 'Builds and flattens a tree from rows',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const rows: Comment[] = [];
		for await (const page of nango.paginate<Comment>({ endpoint: '/comments', paginate: { type: 'offset', offset_name_in_request: 'skip', limit: 3, limit_name_in_request: 'take' } })) rows.push(...page);
		const children = rows.reduce((map, row) => map.set(row.parent, [...(map.get(row.parent) ?? []), row]), new Map<number | null, Comment[]>());
		const build = (parent: number | null, depth = 0, path = ''): Node[] =>
			(children.get(parent) ?? []).map((row, i) => ({ ...row, depth, path: `${path}/${i}`, replies: build(row.id, depth + 1, `${path}/${i}`) }));
		const tree = build(null);
		const flat = function* (nodes: Node[]): Generator<[string, string]> {
			for (const { path, text, replies } of nodes) {
				yield [path, text];
				yield* flat(replies);
			}
		};
		const deepest = (nodes: Node[]): number => nodes.reduce((max, node) => Math.max(max, 1 + deepest(node.replies)), 0);
		return { tree, flat: Object.fromEntries(flat(tree)), deepest: deepest(tree), orphans: rows.filter(({ parent }) => parent !== null && !rows.some(({ id }) => id === parent)).map(({ id }) => id) };
	}
});
