import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Base64 content of a file, headers of the provider',
	input: z.object({ base: z.string(), path: z.string() }),
	output: z.any(),
	exec: async (nango, { base, path }) => {
		const endpoint = `/repos/a/b/contents/${path.split('/').map(encodeURIComponent).join('/')}`;
		const { data } = await nango.get<{ content: string; encoding: BufferEncoding; sha: string }>({ baseUrlOverride: base, endpoint, headers: { Accept: 'application/vnd.github.object+json' } });
		return { text: Buffer.from(data.content, data.encoding).toString('utf-8'), sha: data.sha.slice(0, 7) };
	}
});
