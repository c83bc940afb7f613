import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from 'crypto';
import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Hashes, signatures and random values',
	input: z.object({ body: z.string(), secret: z.string() }),
	output: z.any(),
	exec: async (nango, { body, secret }) => {
		const signature = createHmac('sha256', secret).update(body).digest('hex');
		await nango.post({ endpoint: '/signed', data: body, headers: { 'content-type': 'text/plain', 'x-signature': `sha256=${signature}` } });
		const uuid = randomUUID();
		return {
			signature,
			hashes: ['md5', 'sha1', 'sha256', 'sha512'].map((name) => createHash(name).update(body).digest('hex')),
			pieces: createHash('sha256').update('a').update(Buffer.from('b')).digest('base64'),
			url: createHmac('sha1', Buffer.from(secret)).update(body, 'utf8').digest('base64url'),
			buffer: Buffer.isBuffer(createHash('md5').update('').digest()),
			equal: timingSafeEqual(Buffer.from(signature), Buffer.from(signature)),
			uuid: /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(uuid),
			unique: new Set([uuid, randomUUID(), randomBytes(8).toString('hex'), randomBytes(8).toString('hex')]).size,
			random: new Set(Array.from({ length: 50 }, () => Math.random())).size
		};
	}
});
