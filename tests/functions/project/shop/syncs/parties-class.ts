import { createSync } from 'nango';
import * as z from 'zod';

import { Kind, PartyClient } from '../lib/client.js';

const Party = z.object({ id: z.string(), kind: z.enum(Kind), label: z.string() });

export default createSync({
	description: 'A client class with pages of an async generator',
	frequency: 'every hour',
	autoStart: false,
	models: { Party },
	exec: async (nango) => {
		const client = PartyClient.for(nango as any);
		for (const kind of Object.values(Kind)) {
			const pages = client.pages(kind);
			let step = await pages.next();
			for (; !step.done; step = await pages.next()) {
				const detailed = await Promise.all(step.value.map(async ({ id }) => client.detail(id)));
				await nango.batchSave(detailed.map((raw) => ({ id: raw.id, kind, label: `${raw.name?.first ?? raw.name} (${Kind[kind === Kind.Person ? 'Person' : 'Company']})` })), 'Party');
			}
			await nango.log(`${kind}: ${String(step.value)} calls`, { level: 'warn' });
		}
	}
});
