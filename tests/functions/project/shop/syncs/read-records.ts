import { createSync } from 'nango';
import * as z from 'zod';

const Thing = z.object({ id: z.string(), n: z.number() });

export default createSync({
	description: 'Reads records back by id and as a list',
	frequency: 'every hour',
	autoStart: false,
	models: { Thing },
	exec: async (nango) => {
		const things = Array.from({ length: 250 }, (_, i) => ({ id: String(i), n: i * i }));
		await nango.batchSave(things, 'Thing');
		const byText = await nango.getRecordsByIds(things.map(({ id }) => id).concat('x'), 'Thing');
		const byNumber = await nango.getRecordsByIds([7, 8, 9999], 'Thing');
		const seen: any[] = [];
		for await (const thing of nango.listRecords('Thing')) {
			if (seen.length >= 300) break;
			seen.push(thing);
		}
		seen.sort((a, b) => Number(a.id) - Number(b.id)); // their order is the store's
		const sum = seen.reduce((all, { n }) => all + n, 0);
		const first = seen.find(({ id }) => id === '17');
		await nango.log(JSON.stringify({ text: byText.size, number: [...byNumber.keys()].sort(), n: byNumber.get(7)?.n, seen: seen.length, sum, action: first._nango_metadata.last_action }), { level: 'warn' });
		await nango.batchSave(seen.slice(0, 5).map((thing) => ({ ...thing, n: -1 })).concat(seen.filter(({ id }) => id === '249')), 'Thing');
	}
});
