import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({ description: 'Texts of numbers that lie between two', input: z.object({}), output: z.any(), exec: async () => String(1e15 + 0.25) });
