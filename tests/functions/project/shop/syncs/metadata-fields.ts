import { createSync } from 'nango';
import * as z from 'zod';

const Lead = z.object({ id: z.string(), custom: z.record(z.string(), z.unknown()) });

export default createSync({
	description: 'Fields are chosen by the metadata of the connection',
	frequency: 'every hour',
	autoStart: false,
	models: { Lead },
	metadata: z.object({ fields: z.record(z.string(), z.string()) }),
	exec: async (nango) => {
		const metadata = (await nango.getMetadata()) as { fields?: Record<string, string> } | null;
		const fields = Object.entries(metadata?.fields ?? {});
		if (fields.length === 0) throw new Error('no fields are chosen');
		const { data } = await nango.get<any>({ endpoint: '/leads', params: { properties: fields.map(([, theirs]) => theirs).join(',') } });
		const at = (object: any, path: string) => path.split('.').reduce((value, key) => value?.[key], object);
		await nango.batchSave(data.results.map((raw: any) => ({ id: raw.id, custom: Object.fromEntries(fields.map(([ours, theirs]) => [ours, at(raw, theirs) ?? null])) })), 'Lead');
		await nango.updateMetadata({ fields: { last: 'synced' } });
		const after = (await nango.getMetadata()) as any;
		await nango.log(JSON.stringify(after), { level: 'error' });
	}
});
