import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Compares long ids with BigInt',
	input: z.object({ ids: z.array(z.string()) }),
	output: z.any(),
	exec: async (_nango, { ids }) => {
		const sorted = [...ids].sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : BigInt(a) > BigInt(b) ? 1 : 0));
		const newest = ids.reduce((best, id) => (BigInt(id) > BigInt(best) ? id : best));
		return { sorted, newest, same: BigInt('5') === BigInt(5), text: BigInt('900719925474099312345').toString(), later: BigInt('10') > BigInt('9') };
	}
});
