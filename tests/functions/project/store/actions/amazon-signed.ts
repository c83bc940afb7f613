import { createHash, createHmac } from 'crypto';
import { createAction } from 'nango';
import { z } from 'zod';

const hex = (text: string) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
const strict = (text: string) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

export default createAction({
	description: 'A request signed by its canonical form',
	version: '1.0.0',
	input: z.object({ path: z.string(), query: z.record(z.string(), z.string()), date: z.string() }),
	output: z.any(),
	exec: async (nango, { path, query, date }) => {
		const amz = new Date(date).toISOString().replace(/[:-]|\.\d{3}/g, '');
		const canonicalQuery = Object.keys(query).sort().map((k) => `${strict(k)}=${strict(query[k]!)}`).join('&');
		const headers = { host: 'api.example.com', 'x-amz-date': amz };
		const names = Object.keys(headers).sort().join(';');
		const canonical = ['GET', path, canonicalQuery, ...Object.entries(headers).map(([k, v]) => `${k}:${v}`), '', names, hex('')].join('\n');
		const scope = [amz.slice(0, 8), 'eu-west-1', 'execute-api', 'aws4_request'];
		const toSign = ['AWS4-HMAC-SHA256', amz, scope.join('/'), hex(canonical)].join('\n');
		const key = scope.reduce<string | Buffer>((k, part) => hmac(k, part), 'AWS4geheim-ž');
		const signature = hmac(key, toSign).toString('hex');
		const { data } = await nango.get({ endpoint: `${path}?${canonicalQuery}`, headers: { 'X-Amz-Date': amz, 'X-Signature': `SignedHeaders=${names}, Signature=${signature}` } });
		return { canonical, signature, data };
	}
});
