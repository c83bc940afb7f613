import { createAction } from 'nango';
import * as z from 'zod';

interface Folder {
	id: string;
	name: string;
	folders?: string[];
	files?: { name: string; size: number }[];
}

export default createAction({
	description: 'Walks folders by recursion, once each',
	input: z.object({ root: z.string() }),
	output: z.any(),
	exec: async (nango, { root }) => {
		const visited = new Set<string>();
		const walk = async (id: string, path: string[] = []): Promise<{ path: string; size: number }[]> => {
			if (visited.has(id)) return [];
			visited.add(id);
			const { data } = await nango.get<Folder>({ endpoint: `/folders/${id}` });
			const here = [...path, data.name];
			const files = (data.files ?? []).map(({ name, size }) => ({ path: [...here, name].join('/'), size }));
			for (const child of data.folders ?? []) files.push(...(await walk(child, here)));
			return files;
		};
		const files = await walk(root);
		return { files, total: files.reduce((sum, { size }) => sum + size, 0), visited: [...visited] };
	}
});
