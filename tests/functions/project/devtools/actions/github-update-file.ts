import { createAction } from 'nango';
import { z } from 'zod';

export default createAction({
	description: 'Read a file, change it, write it back; made when missing',
	version: '1.0.0',
	input: z.object({ repo: z.string(), path: z.string(), replace: z.array(z.tuple([z.string(), z.string()])), message: z.string().default('Update') }),
	output: z.any(),
	exec: async (nango, { repo, path, replace, message }) => {
		const endpoint = `/repos/${repo}/contents/${encodeURI(path)}`;
		const current = await nango
			.get<{ sha: string; content: string; encoding: BufferEncoding }>({ endpoint, headers: { Accept: 'application/vnd.github+json' } })
			.then(({ data, headers }) => ({ sha: data.sha, etag: headers['etag'], text: Buffer.from(data.content, data.encoding).toString() }))
			.catch((error) => {
				if (error.response?.status !== 404) throw error;
				return { sha: undefined, etag: undefined, text: '' };
			});
		const text = replace.reduce((all, [from, to]) => all.split(from).join(to), current.text) || '# New\n';
		const lines = { before: current.text.split('\n').length, after: text.split(/\r?\n/).length };
		if (text === current.text) return { changed: false, lines };
		const { data, status } = await nango.put({ endpoint, data: { message: message ?? 'Update', content: Buffer.from(text).toString('base64'), sha: current.sha }, headers: current.etag ? { 'If-Match': current.etag } : {} });
		return { changed: true, created: status === 201, commit: data.commit.sha.slice(0, 7), lines };
	}
});
