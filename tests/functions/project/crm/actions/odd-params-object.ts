import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({ description: 'URLSearchParams as params', input: z.object({}), output: z.any(), exec: async (nango) => (await nango.get({ endpoint: '/q', params: new URLSearchParams({ a: '1' }) as any })).data });
