import { createAction } from 'nango';
import type { ProxyConfiguration } from 'nango';
import { z } from 'zod';

const mimeTypeMapping: Record<string, { mimeType: string; responseType: 'text' | 'arraybuffer' }> = {
	'application/vnd.google-apps.document': { mimeType: 'text/plain', responseType: 'text' },
	'application/vnd.google-apps.spreadsheet': { mimeType: 'text/csv', responseType: 'text' },
	'application/pdf': { mimeType: 'application/pdf', responseType: 'arraybuffer' }
};

export default createAction({
	description: 'Fetch the content of a file, exported or downloaded',
	version: '1.0.0',
	endpoint: { method: 'GET', path: '/fetch-document', group: 'Documents' },
	input: z.object({ id: z.string() }),
	output: z.string(),
	exec: async (nango, input) => {
		if (!input || !input.id) throw new nango.ActionError({ message: 'Missing id in input' });
		const details = await nango.get<{ mimeType: string; name: string }>({ endpoint: `drive/v3/files/${input.id}`, params: { fields: 'id, name, mimeType' }, retries: 10 });
		if (details.status !== 200 || !details.data) throw new nango.ActionError({ message: `Failed to retrieve file: ${details.status}` });
		const { mimeType } = details.data;
		const target = mimeTypeMapping[mimeType];
		const config: ProxyConfiguration = mimeType.startsWith('application/vnd.google-apps.')
			? { endpoint: `drive/v3/files/${input.id}/export`, params: { mimeType: target?.mimeType ?? 'text/html' }, responseType: target?.responseType ?? 'text' }
			: { endpoint: `drive/v3/files/${input.id}`, params: { alt: 'media' }, responseType: 'arraybuffer' };
		const response = await nango.get({ ...config, retries: 3 });
		if (config.responseType === 'text') return response.data ?? '';
		const chunks: Buffer[] = [];
		const whole = Buffer.from(response.data);
		for (let at = 0; at < whole.length; at += 6) chunks.push(whole.subarray(at, at + 6));
		return `data:${response.headers['content-type']};base64,${Buffer.concat(chunks).toString('base64')}`;
	}
});
