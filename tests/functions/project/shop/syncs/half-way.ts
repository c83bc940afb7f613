import { createSync } from 'nango';
import * as z from 'zod';

const Page = z.object({ id: z.string(), n: z.number() });

export default createSync({
	description: 'Fails in the middle and goes on from there',
	frequency: 'every hour',
	autoStart: false,
	models: { Page },
	checkpoint: z.object({ next: z.number() }),
	exec: async (nango) => {
		const checkpoint = await nango.getCheckpoint();
		for (let n = checkpoint?.next ?? 1; n <= 4; n++) {
			const { data } = await nango.get<any>({ endpoint: `/pages/${n}` });
			if (data.stop) throw new nango.ActionError({ reason: data.stop, at: n, emoji: '🛑' });
			await nango.batchSave([{ id: `p${n}`, n: data.n }], 'Page');
			await nango.saveCheckpoint({ next: n + 1 });
		}
		await nango.clearCheckpoint();
	}
});
