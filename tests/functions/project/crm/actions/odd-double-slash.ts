import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({ description: 'An endpoint with two slashes in front', input: z.object({}), output: z.any(), exec: async (nango) => (await nango.get({ endpoint: '//double/x' })).data });
