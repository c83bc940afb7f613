import { createSync } from 'nango';
import { z } from 'zod';

const Document = z.object({ id: z.string(), url: z.string(), title: z.string(), mimeType: z.string(), path: z.string() });
const Metadata = z.object({ files: z.array(z.string()).optional(), folders: z.array(z.string()).optional() });

export default createSync({
	description: 'Files below chosen folders',
	version: '1.0.0',
	frequency: 'every day',
	autoStart: false,
	metadata: Metadata,
	models: { Document },
	exec: async (nango) => {
		const metadata = await nango.getMetadata();
		if (!metadata || (!metadata.files && !metadata.folders)) throw new Error('Metadata for files or folders is required.');
		const done = new Set<string>();
		let batch: z.infer<typeof Document>[] = [];
		const flush = async (atLeast = 1) => {
			if (batch.length < atLeast) return;
			await nango.batchSave(batch, 'Document');
			batch = [];
		};
		const folder = async (id: string, path: string): Promise<void> => {
			if (done.has(id)) return;
			done.add(id);
			const query = `('${id}' in parents) and trashed = false`;
			for await (const page of nango.paginate<any>({ endpoint: 'drive/v3/files', params: { fields: 'files(id, name, mimeType, webViewLink), nextPageToken', pageSize: '100', q: query }, paginate: { type: 'cursor', cursor_path_in_response: 'nextPageToken', cursor_name_in_request: 'pageToken', response_path: 'files' }, retries: 10 })) {
				for (const file of page) {
					if (file.mimeType === 'application/vnd.google-apps.folder') await folder(file.id, `${path}/${file.name}`);
					else if (!done.has(file.id)) {
						done.add(file.id);
						batch.push({ id: file.id, url: file.webViewLink, title: file.name, mimeType: file.mimeType, path });
						await flush(3);
					}
				}
			}
		};
		for (const id of metadata.folders ?? []) await folder(id, '');
		for (const id of metadata.files ?? []) {
			if (done.has(id)) continue;
			try {
				const { data } = await nango.get<any>({ endpoint: `drive/v3/files/${id}`, params: { fields: 'id, name, mimeType, webViewLink' } });
				batch.push({ id: data.id, url: data.webViewLink, title: data.name, mimeType: data.mimeType, path: '-' });
			} catch (error) {
				await nango.log(`Error fetching file ${id}: ${error}`, { level: 'error' });
			}
		}
		await flush();
	}
});
