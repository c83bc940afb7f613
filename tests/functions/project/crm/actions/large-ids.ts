import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Ids larger than numbers can be',
	input: z.object({ ids: z.array(z.string()) }),
	output: z.any(),
	exec: async (nango, { ids }) => {
		const { data } = await nango.get<string>({ endpoint: '/messages', responseType: 'text', params: { since: ids[0]! } });
		const safe = JSON.parse(data.replace(/("id"\s*:\s*)(\d{16,})/g, '$1"$2"'));
		const compare = (a: string, b: string) => (a.length - b.length || (a < b ? -1 : a > b ? 1 : 0));
		return { sorted: [...ids].sort(compare), safe, lossy: JSON.parse(data), sum: ids.map(Number).reduce((a, b) => a + b, 0), bigger: BigInt(ids[0]!) > BigInt(ids[1]!), hex: Number(ids[0]!.slice(-6)).toString(16) };
	}
});
