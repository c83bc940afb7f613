import { createSync } from 'nango';
import * as z from 'zod';

const Row = z.object({ id: z.string() });

export default createSync({
	description: 'What a checkpoint takes and what it refuses',
	frequency: 'every hour',
	autoStart: false,
	models: { Row },
	checkpoint: z.object({ s: z.string(), n: z.number(), b: z.boolean() }),
	exec: async (nango) => {
		const seen: any[] = [await nango.getCheckpoint()];
		await nango.clearCheckpoint();
		await nango.saveCheckpoint({ s: '😀', n: -0.5, b: false });
		seen.push(await nango.getCheckpoint());
		await nango.saveCheckpoint({ s: '', n: 1e21, b: true });
		for (const bad of [{ s: { deep: 1 } }, { s: [1] }, { s: null }]) {
			try {
				await nango.saveCheckpoint(bad as any);
				seen.push('saved');
			} catch {
				seen.push('refused');
			}
		}
		await nango.log(JSON.stringify(seen), { level: 'warn' });
	}
});
