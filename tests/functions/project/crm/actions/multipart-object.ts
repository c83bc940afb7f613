import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'An object sent as multipart/form-data',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => (await nango.post({ endpoint: '/upload', headers: { 'Content-Type': 'multipart/form-data' }, data: { name: 'Žofie', count: '3', file: Buffer.from('bytes ü') } })).data
});
