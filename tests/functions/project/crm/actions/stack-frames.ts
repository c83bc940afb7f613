import { createAction } from 'nango';
import * as z from 'zod';

function innermost(value: number): number {
	if (value > 2) {
		throw new Error(`too deep: ${value}`);
	}
	return innermost(value + 1);
}

const middle = (value: number) => innermost(value);

export default createAction({
	description: 'The first frame points at the line that threw',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const result = middle(0);
		return result;
	}
});
