import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({ description: 'An output as large as asked for', input: z.object({ bytes: z.number() }), output: z.string(), exec: async (_nango, { bytes }) => 'é'.repeat(bytes / 2) });
