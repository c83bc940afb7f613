import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({ description: 'Half of an emoji leaves the function', input: z.object({}), output: z.any(), exec: async (nango) => (await nango.post({ endpoint: '/half', data: { cut: '😀'.slice(0, 1) } })).data });
