import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Bytes: encodings, slices, numbers, comparisons',
	input: z.object({ text: z.string(), base64: z.string() }),
	output: z.any(),
	exec: async (nango, input) => {
		const text = Buffer.from(input.text);
		const bytes = Buffer.from(input.base64, 'base64');
		const joined = Buffer.concat([text, Buffer.from([0, 128, 255]), bytes]);
		const response = await nango.put<any>({ endpoint: '/bytes', data: joined as any, headers: { 'content-type': 'application/octet-stream' } });
		return {
			lengths: [input.text.length, text.length, Buffer.byteLength(input.text), bytes.length, joined.length],
			forms: ['hex', 'base64', 'base64url', 'latin1', 'ascii', 'utf16le'].map((form) => text.toString(form as BufferEncoding)),
			json: JSON.stringify(joined.subarray(0, 4)),
			equal: [text.equals(Buffer.from(input.text)), Buffer.compare(text, bytes) > 0, Buffer.isBuffer(joined), joined instanceof Uint8Array],
			numbers: [bytes.readUInt8(0), bytes.readUInt16BE(1), bytes.readInt32LE(0), bytes.readUInt32BE(0)],
			found: [joined.indexOf('ü'), joined.includes(255), joined.lastIndexOf(0)],
			cut: text.subarray(0, 2).toString(),
			answer: response.status,
			btoa: btoa('abc\u00ff'),
			atob: atob('YWJj/w=='),
			encoder: [...new TextEncoder().encode('ü😀')],
			decoder: new TextDecoder('utf-8').decode(new Uint8Array([226, 130, 172, 255]))
		};
	}
});
