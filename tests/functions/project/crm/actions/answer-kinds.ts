import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'What data is for every responseType, of good and of bad answers',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const read = async (data: any) => {
			const parts: Buffer[] = [];
			for await (const part of data) parts.push(Buffer.from(part));
			return Buffer.concat(parts).toString('base64');
		};
		const shape = async (data: any) => {
			if (Buffer.isBuffer(data)) return ['buffer', data.toString('base64')];
			if (data && typeof data === 'object' && typeof data.on === 'function') return ['stream', await read(data)];
			return [typeof data, data];
		};
		const out: Record<string, unknown> = {};
		for (const path of ['/text', '/json', '/bytes', '/nothing', '/bad', '/bad-json']) {
			for (const responseType of ['arraybuffer', 'blob', 'document', 'stream', 'json', 'text'] as const) {
				try {
					const { status, data } = await nango.get({ endpoint: path, responseType });
					out[`${path} ${responseType}`] = [status, await shape(data)];
				} catch (error: any) {
					out[`${path} ${responseType}`] = ['thrown', error.code, error.response?.status, await shape(error.response?.data)];
				}
			}
		}
		return out;
	}
});
