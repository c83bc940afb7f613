import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'The class Headers',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const headers = new Headers({ 'Content-Type': 'text/plain', 'X-B': '2' });
		headers.append('x-a', '1');
		headers.append('X-A', '3');
		headers.set('x-b', ' trimmed ');
		const copy = new Headers(headers);
		copy.delete('x-a');
		const pairs: string[] = [];
		headers.forEach((value, name) => pairs.push(`${name}=${value}`));
		return { pairs, got: [headers.get('X-a'), headers.get('none'), headers.has('content-type')], all: [...headers], copy: Object.fromEntries(copy.entries()), list: [...new Headers([['q', '1']]).keys()] };
	}
});
