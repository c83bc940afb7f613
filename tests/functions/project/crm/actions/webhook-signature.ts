import crypto from 'node:crypto';
import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Signs a request in the style of a cloud vendor',
	input: z.object({ path: z.string(), query: z.record(z.string(), z.string()), at: z.string() }),
	output: z.any(),
	exec: async (nango, { path, query, at }) => {
		const stamp = new Date(at).toISOString().replace(/[:-]|\.\d{3}/g, '');
		const canonical = Object.keys(query)
			.sort()
			.map((key) => `${encodeURIComponent(key)}=${encodeURIComponent(query[key]!)}`)
			.join('&');
		const hash = crypto.createHash('sha256').update(`GET\n${path}\n${canonical}`).digest('hex');
		const key = ['2024', 'eu', 'service'].reduce<Buffer | string>((k, part) => crypto.createHmac('sha256', k).update(part).digest(), 'secret');
		const signature = crypto.createHmac('sha256', key).update(`${stamp}\n${hash}`).digest('hex');
		const { data } = await nango.get({ endpoint: `${path}?${canonical}`, headers: { 'X-Date': stamp, 'X-Signature': signature } });
		return { data, stamp };
	}
});
