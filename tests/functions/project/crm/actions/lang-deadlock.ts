import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({ description: 'Waits for what never comes', input: z.object({}), output: z.any(), exec: async () => await new Promise(() => {}) });
