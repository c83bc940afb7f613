import { createSync } from 'nango';
import * as z from 'zod';

const Owner = z.object({ id: z.string(), email: z.email().optional() }).nullable();
const base = { id: z.union([z.string(), z.number().min(0)]).transform(String), name: z.string().trim().default('none'), at: z.coerce.date().transform((d) => d.toISOString()).optional() };
const raw = Array.from({ length: 17 }, (_, i) =>
	z.object({ ...base, [`field${i}`]: z.string().optional(), amount: i % 2 ? z.coerce.number().optional() : z.string().optional(), owner: Owner.optional(), tags: z.array(i % 3 ? z.union([z.string(), z.number()]) : z.string()).catch([]).optional() })
);
const Entry = z.object({ id: z.string(), kind: z.string(), value: z.record(z.string(), z.unknown()) });
const Refused = z.object({ id: z.string(), issues: z.array(z.string()) });
const out = raw.map((schema, i) => schema.transform((value) => ({ id: `${i}/${value.id}`, kind: `kind${i}`, value })).pipe(Entry));

export default createSync({
	description: 'Thirty-four schemas, two models',
	frequency: 'every hour',
	autoStart: false,
	models: { Entry, Refused },
	exec: async (nango) => {
		const { data } = await nango.get<Record<string, unknown[]>>({ endpoint: '/crm/bundle' });
		for (const [i, schema] of out.entries()) {
			const results = (data[`kind${i}`] ?? []).map((each) => schema.safeParse(each));
			await nango.batchSave(results.flatMap((result) => (result.success ? [result.data] : [])), 'Entry');
			const bad = results.flatMap((result, at) => (result.success ? [] : [{ id: `${i}.${at}`, issues: result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) }]));
			await nango.batchSave(bad, 'Refused');
		}
	}
});
