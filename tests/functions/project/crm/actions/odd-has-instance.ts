import { createAction } from 'nango';
import * as z from 'zod';

class Even {
	static [Symbol.hasInstance](value: unknown) {
		return typeof value === 'number' && value % 2 === 0;
	}
}

export default createAction({ description: 'instanceof with a rule of its own', input: z.object({}), output: z.any(), exec: async () => [(2 as any) instanceof Even, (3 as any) instanceof Even] });
