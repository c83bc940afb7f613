import { createAction } from 'nango';
import { z } from 'zod';

const DriveItem = z.object({ id: z.string(), name: z.string(), size: z.number().default(0), folder: z.object({ childCount: z.number() }).optional(), file: z.object({ mimeType: z.string(), hashes: z.object({ quickXorHash: z.string() }).partial().optional() }).optional(), parentReference: z.object({ path: z.string().optional() }).optional(), lastModifiedDateTime: z.string() });
type DriveItem = z.infer<typeof DriveItem>;
interface Tree {
	name: string;
	size: number;
	children?: Tree[];
	type?: string;
}

export default createAction({
	description: 'Folders and files as a tree, one folder after another',
	version: '1.0.0',
	input: z.object({ depth: z.number().int().min(0).max(5).default(3) }),
	output: z.any(),
	exec: async (nango, input) => {
		const depth = input.depth ?? 3;
		let calls = 0;
		const children = async (id: string): Promise<DriveItem[]> => {
			const items: DriveItem[] = [];
			for await (const page of nango.paginate<unknown>({ endpoint: `/v1.0/me/drive/items/${id}/children`, params: { $top: 200 }, paginate: { type: 'link', link_path_in_response_body: '@odata.nextLink', response_path: 'value' } })) {
				calls++;
				items.push(...z.array(DriveItem).parse(page));
			}
			return items;
		};
		const visit = async (item: { id: string; name: string }, left: number): Promise<Tree> => {
			const list = left > 0 ? await children(item.id) : [];
			const folders = list.filter((each) => each.folder !== undefined);
			const files = list.filter(({ folder }) => !folder).map(({ name, size, file }): Tree => ({ name, size, type: file?.mimeType.split('/', 1)[0] ?? '?' }));
			const nested: Tree[] = [];
			for (const folder of folders) nested.push(await visit(folder, left - 1));
			const all = [...nested, ...files].sort((a, b) => b.size - a.size || a.name.localeCompare(b.name));
			return { name: item.name, size: all.reduce((sum, { size }) => sum + size, 0), children: all };
		};
		const tree = await visit({ id: 'root', name: '/' }, depth);
		const lines: string[] = [];
		(function print(node: Tree, indent: number) {
			lines.push(`${' '.repeat(indent)}${node.name} ${node.size >= 1024 ? `${(node.size / 1024).toFixed(1)} kB` : `${node.size} B`}`);
			node.children?.forEach((child) => print(child, indent + 2));
		})(tree, 0);
		return { calls, tree, lines };
	}
});
