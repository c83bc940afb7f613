import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Buffer and typed arrays',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const text = Buffer.from('žluťoučký 😀');
		const joined = Buffer.concat([text, Buffer.from([0, 255, 16]), new Uint8Array([1, 2])]);
		const view = new DataView(new ArrayBuffer(8));
		view.setUint32(0, 0xdeadbeef);
		view.setFloat32(4, 1.5, true);
		return {
			json: text,
			text: JSON.stringify(Buffer.from('hi')),
			encodings: (['utf8', 'hex', 'base64', 'base64url', 'latin1', 'ascii', 'binary', 'utf16le'] as const).map((encoding) => Buffer.from('Ab é?>~').toString(encoding)),
			decodings: [Buffer.from('aGk', 'base64').toString(), Buffer.from('aGk_-w', 'base64url').toString('hex'), Buffer.from('a G\nk=', 'base64').toString(), Buffer.from('6869zz', 'hex').toString(), Buffer.from('é', 'latin1').toString('hex')],
			is: [Buffer.isBuffer(text), Buffer.isBuffer(new Uint8Array(1)), text instanceof Uint8Array],
			length: [joined.length, Buffer.byteLength('é'), Buffer.byteLength('aGk=', 'base64')],
			slices: [joined.subarray(0, 3).toString('hex'), joined.slice(-2).toString('hex'), joined.indexOf(255), text.includes('ť')],
			alloc: [Buffer.alloc(3, 'ab').toString(), Buffer.alloc(2).toString('hex')],
			compare: [Buffer.from('a').equals(Buffer.from('a')), Buffer.compare(Buffer.from('a'), Buffer.from('b'))],
			ints: [joined.readUInt8(1), Buffer.from([1, 2, 3, 4]).readUInt32BE(0), Buffer.from([1, 2]).readUInt16LE(0)],
			write: (() => {
				const b = Buffer.alloc(4);
				b[1] = 0x12;
				b[0] = 300;
				return [...b];
			})(),
			view: [view.getUint8(0), view.getInt16(0), view.getFloat32(4, true)],
			invalid: Buffer.from([0xff, 0x61, 0xe2, 0x82]).toString('utf8'),
			typed: [Array.from(new Uint8Array([1, 2, 3]).map((n) => n * 2)), new Uint8Array(2).length, Uint8Array.from([1, 2]).join('-'), [...new Uint16Array([500])]],
			btoa: [btoa('hello'), atob('aGVsbG8='), Buffer.from('user:pass').toString('base64')],
			encoder: [...new TextEncoder().encode('é')],
			decoder: new TextDecoder().decode(new Uint8Array([0xc3, 0xa9])),
			entries: [...Buffer.from('ab').entries()]
		};
	}
});
