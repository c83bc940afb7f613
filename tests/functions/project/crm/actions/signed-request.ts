import { createHash, createHmac } from 'crypto';
import { createAction } from 'nango';
import * as z from 'zod';

const hex = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text, 'utf8').digest();

export default createAction({
	description: 'A request signed over its canonical form',
	input: z.object({ at: z.string(), body: z.record(z.string(), z.any()) }),
	output: z.any(),
	exec: async (nango, { at, body }) => {
		const stamp = new Date(at).toISOString().replace(/[:-]|\.\d{3}/g, '');
		const day = stamp.slice(0, 8);
		const payload = JSON.stringify(body);
		const headers: Record<string, string> = { 'content-type': 'application/json', 'x-date': stamp, 'x-content-sha256': hex(payload) };
		const signed = Object.keys(headers).sort();
		const query = [['b', '2 3'], ['a', 'ü/~*']].map(([k, v]) => [k!, encodeURIComponent(v!).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)]).sort(([a], [b]) => (a! < b! ? -1 : 1));
		const canonical = ['POST', '/objects', query.map((pair) => pair.join('=')).join('&'), ...signed.map((name) => `${name}:${headers[name]!.trim()}`), '', signed.join(';'), headers['x-content-sha256']].join('\n');
		const key = ['eu-1', 's3', 'request'].reduce((secret, part) => hmac(secret, part), hmac('KEYsecret', day));
		const signature = createHmac('sha256', key).update(`HMAC\n${stamp}\n${hex(canonical)}`).digest('base64');
		await nango.post({ endpoint: '/objects', params: Object.fromEntries(query.map(([k, v]) => [k, decodeURIComponent(v!)])), data: payload, headers: { ...headers, 'x-signature': `HMAC KEY/${day}, Signature=${signature}` } });
		return { signature, canonical };
	}
});
