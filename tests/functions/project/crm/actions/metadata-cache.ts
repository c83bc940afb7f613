import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Metadata between requests: cached until they are written',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const steps: any[] = [];
		const look = async (what: string) => {
			const metadata: any = await nango.getMetadata();
			steps.push([what, metadata]);
			await nango.get({ endpoint: '/seen', params: { what, n: String(metadata?.n ?? 'none') } });
		};
		await look('first');
		const set = await nango.setMetadata({ n: 1, list: [1, 2], deep: { a: 1 } });
		await look('set');
		const updated = await nango.updateMetadata({ n: 2, deep: { b: 2 }, 'ü😀': null });
		await look('updated');
		const connection: any = await nango.getConnection();
		connection.metadata.n = 99;
		await look('changed by hand');
		await nango.setMetadata({});
		await look('emptied');
		return { steps, set: [set.status, set.data], updated: [updated.status, updated.data] };
	}
});
