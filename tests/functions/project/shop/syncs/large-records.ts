import { createSync } from 'nango';
import * as z from 'zod';

const Blob = z.object({ id: z.string(), body: z.string(), rows: z.array(z.any()) });

export default createSync({
	description: 'Records of a megabyte, nested deeply',
	frequency: 'every hour',
	autoStart: false,
	models: { Blob },
	exec: async (nango) => {
		const nest = (depth: number): any => (depth === 0 ? 'core' : { d: depth, in: [nest(depth - 1)] });
		const body = 'Příliš žluťoučký 🐎 '.repeat(45000);
		await nango.batchSave([{ id: 'large', body, rows: [] }, { id: 'deep', body: '', rows: [nest(100)] }, { id: 'wide', body: '', rows: Array.from({ length: 5000 }, (_, i) => ({ i, s: `r${i}` })) }], 'Blob');
	}
});
