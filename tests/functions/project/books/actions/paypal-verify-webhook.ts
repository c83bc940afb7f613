import crypto from 'crypto';
import { createAction } from 'nango';
import { z } from 'zod';

const TABLE = Array.from({ length: 256 }, (_, n) => {
	let c = n;
	for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
	return c >>> 0;
});
const crc32 = (bytes: Uint8Array) => {
	let crc = 0xffffffff;
	for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
	return (crc ^ 0xffffffff) >>> 0;
};

export default createAction({
	description: 'Signatures over a webhook body',
	version: '1.0.0',
	input: z.object({ body: z.string(), secret: z.string(), signature: z.string().optional() }),
	output: z.any(),
	exec: async (nango, { body, secret, signature }) => {
		const hmac = crypto.createHmac('sha256', secret).update(body, 'utf8');
		const digest = hmac.digest('hex');
		const given = Buffer.from(signature ?? '', 'hex');
		const wanted = Buffer.from(digest, 'hex');
		const equal = given.length === wanted.length && crypto.timingSafeEqual(given, wanted);
		const message = ['t1', '2024-01-05', 'wh', crc32(Buffer.from(body))].join('|');
		const response = await nango.post({ endpoint: '/v1/notifications/verify-webhook-signature', data: JSON.stringify({ message, event: JSON.parse(body) }), headers: { 'Content-Type': 'application/json', 'X-Signature': crypto.createHash('sha512').update(message).digest('base64') } });
		return { equal, digest, message, md5: crypto.createHash('md5').update(Buffer.from(body)).digest('base64'), sha1: crypto.createHash('sha1').update('é').update('😀').digest('hex'), uuid: /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/.test(crypto.randomUUID()), bytes: crypto.randomBytes(12).toString('hex').length, status: response.data.verification_status };
	}
});
