import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Breaking out of a for-await stops asking',
	input: z.object({ want: z.number() }),
	output: z.array(z.number()),
	exec: async (nango, { want }) => {
		const out: number[] = [];
		outer: for await (const page of nango.paginate<{ n: number }>({
			endpoint: '/numbers',
			paginate: { type: 'offset', offset_name_in_request: 'from', response_path: 'rows' }
		})) {
			for (const row of page) {
				if (row.n % 2 === 0) continue;
				out.push(row.n);
				if (out.length >= want) break outer;
			}
		}
		return out;
	}
});
