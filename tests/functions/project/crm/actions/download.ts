import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Downloads bytes',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const { data, headers } = await nango.get({ endpoint: '/file', responseType: 'arraybuffer' });
		const bytes = Buffer.from(data);
		return {
			isBuffer: Buffer.isBuffer(data),
			type: headers['content-type'],
			size: bytes.length,
			base64: bytes.toString('base64'),
			hex: bytes.subarray(0, 4).toString('hex'),
			first: bytes[0],
			json: JSON.parse(JSON.stringify(bytes.subarray(0, 3)))
		};
	}
});
