import { createAction } from 'nango';
import * as z from 'zod';

const Tree: z.ZodType<any> = z.lazy(() => z.object({ value: z.number(), left: Tree.nullish(), right: Tree.nullish() }));
const Id = z.string().min(1).brand<'ContactId'>();
const Options = z.strictObject({ page: z.coerce.number().int().min(1).default(1), size: z.coerce.number().max(100).catch(20), sort: z.enum(['asc', 'desc']).optional(), flags: z.preprocess((v) => (typeof v === 'string' ? v.split(',') : v), z.array(z.string()).default([])) });

export default createAction({
	description: 'zod: records, maps, tuples, sets, lazy, brand, pipe, strict and passthrough',
	input: z.object({ values: z.array(z.any()) }),
	output: z.any(),
	exec: async (_nango, { values }) => {
		const schemas: Record<string, z.ZodType<any>> = {
			record: z.record(z.string().regex(/^[a-z]+$/), z.number()),
			partial: z.partialRecord(z.enum(['a', 'b']), z.number()),
			tuple: z.tuple([z.string(), z.number().optional()]).rest(z.boolean()),
			tree: Tree,
			id: Id,
			options: Options,
			passthrough: z.object({ a: z.string() }).passthrough(),
			catchall: z.object({ a: z.string().optional() }).catchall(z.number()),
			pipe: z.string().trim().pipe(z.coerce.number()).pipe(z.number().min(3)),
			nullish: z.object({ a: z.string().nullish(), b: z.number().nullable().default(null) }),
			date: z.coerce.date().min(new Date('2020-01-01')).transform((d) => d.toISOString()),
			intersection: z.intersection(z.object({ a: z.any() }), z.object({ b: z.any() })),
			set: z.array(z.string()).transform((list) => new Set(list)).transform((set) => set.size),
			codec: z.base64().transform((s) => Buffer.from(s, 'base64').toString()),
			readonly: z.array(z.number()).readonly(),
			json: z.json(),
			not: z.never()
		};
		return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, values.map((value) => {
			const parsed = schema.safeParse(value);
			return parsed.success ? { ok: parsed.data } : parsed.error.issues.map(({ code, path, message }) => [code, path, message]);
		})]));
	}
});
