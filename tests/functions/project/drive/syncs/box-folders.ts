import { createSync } from 'nango';
import { z } from 'zod';

const Item = z.object({ id: z.string(), name: z.string(), kind: z.enum(['file', 'folder', 'web_link']), parent: z.string(), extension: z.string().optional(), sha1: z.string().optional() });

class Queue<T> {
	#items: T[] = [];
	static of<T>(...items: T[]) {
		const queue = new Queue<T>();
		queue.#items = items;
		return queue;
	}
	push(item: T) {
		this.#items.push(item);
	}
	*[Symbol.iterator]() {
		for (let next = this.#items.shift(); next !== undefined; next = this.#items.shift()) yield next;
	}
	get size() {
		return this.#items.length;
	}
}

export default createSync({
	description: 'Folders breadth first',
	version: '1.0.0',
	frequency: 'every week',
	autoStart: false,
	models: { Item },
	exec: async (nango) => {
		const queue = Queue.of('0');
		await nango.trackDeletesStart('Item');
		for (const folder of queue) {
			for await (const page of nango.paginate<any>({ endpoint: `/2.0/folders/${folder}/items`, params: { fields: 'id,name,type,extension,sha1' }, paginate: { type: 'offset', offset_name_in_request: 'offset', limit_name_in_request: 'limit', limit: 2, response_path: 'entries' } })) {
				const items = page.map((entry): z.infer<typeof Item> => {
					if (entry.type === 'folder') queue.push(entry.id);
					return { id: `${entry.type}-${entry.id}`, name: entry.name, kind: entry.type, parent: folder, ...(entry.extension && { extension: `.${entry.extension}`.toLowerCase() }), ...(entry.sha1 && { sha1: entry.sha1 }) };
				});
				await nango.batchSave(items, 'Item');
			}
		}
		await nango.trackDeletesEnd('Item');
		await nango.log(`left ${queue.size}`, { level: 'warn' });
	}
});
