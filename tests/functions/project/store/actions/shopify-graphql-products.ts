import { createAction } from 'nango';
import { z } from 'zod';

const gid = (id: string) => id.split('/').at(-1)!.replace(/\?.*$/, '');
const Edges = <T extends z.ZodType>(node: T) => z.object({ edges: z.array(z.object({ cursor: z.string().optional(), node })) }).transform(({ edges }) => edges.map((edge) => (edge as { node: z.output<T> }).node));
const Product = z.object({ id: z.string().transform(gid), title: z.string(), status: z.enum(['ACTIVE', 'ARCHIVED', 'DRAFT']).transform((s) => s.toLowerCase()), variants: Edges(z.object({ sku: z.string().nullable(), price: z.string(), inventoryQuantity: z.number().int().nullable() })), tags: z.string().array() });

export default createAction({
	description: 'Products by GraphQL, edges become lists by transforms',
	version: '1.0.0',
	input: z.object({ search: z.string().optional() }),
	output: z.any(),
	exec: async (nango, { search }) => {
		const query = `query($q: String, $after: String) { products(first: 2, query: $q, after: $after) { edges { cursor node { id } } pageInfo { hasNextPage } } }`;
		const products: z.output<typeof Product>[] = [];
		let after: string | undefined;
		for (;;) {
			const { data, headers } = await nango.post({ endpoint: '/admin/api/2024-07/graphql.json', data: { query, variables: { q: search ?? null, after } } });
			const cost = data.extensions?.cost?.throttleStatus;
			if (cost && cost.currentlyAvailable < 10) await nango.log(`throttled: ${cost.currentlyAvailable}/${cost.maximumAvailable}, ${headers['x-request-id']}`, { level: 'warn' });
			products.push(...Edges(Product).parse(data.data.products));
			if (!data.data.products.pageInfo.hasNextPage) break;
			after = data.data.products.edges.at(-1)?.cursor;
		}
		const stock = products.map(({ title, variants }) => [title, variants.reduce((n, v) => n + (v.inventoryQuantity ?? 0), 0)] as const);
		return { products, out_of_stock: stock.filter(([, n]) => n <= 0).map(([title]) => title), price_range: [Math.min, Math.max].map((pick) => pick(...products.flatMap((p) => p.variants.map((v) => +v.price)))) };
	}
});
