import { createAction } from 'nango';
import * as z from 'zod';

function defaults(a = 1, ...rest: number[]) {
	return a + rest.length;
}

export default createAction({ description: 'length of functions with defaults', input: z.object({}), output: z.any(), exec: async () => [defaults.length, defaults.name, ((x: number) => x).length, (async () => 1).name] });
