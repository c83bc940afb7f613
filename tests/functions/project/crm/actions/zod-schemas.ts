import { createAction } from 'nango';
import * as z from 'zod';

const Base = z.object({ id: z.union([z.string(), z.number()]).transform(String), created: z.iso.datetime().optional(), url: z.url().optional() });
const Node: z.ZodType<any> = z.lazy(() => z.object({ name: z.string(), children: z.array(Node).default([]) }));
const Person = Base.extend({
	name: z.string().trim().min(1).max(20),
	email: z.email().toLowerCase().nullable(),
	age: z.coerce.number().int().positive().optional(),
	role: z.enum(['admin', 'user']).catch('user'),
	tags: z.set(z.string()).optional(),
	extra: z.record(z.string(), z.unknown()).optional(),
	pair: z.tuple([z.string(), z.number()]).optional(),
	tree: Node.optional()
})
	.partial({ email: true })
	.refine((person) => person.name !== 'root', { message: 'not root', path: ['name'] });

export default createAction({
	description: 'zod: objects, unions, transforms, refinements, errors',
	input: z.object({ people: z.array(z.any()) }),
	output: z.any(),
	exec: async (_nango, { people }) => {
		const results = people.map((raw) => {
			const parsed = Person.safeParse(raw);
			return parsed.success ? { ok: parsed.data } : { issues: parsed.error.issues, flat: z.flattenError(parsed.error), tree: z.treeifyError(parsed.error), pretty: z.prettifyError(parsed.error) };
		});
		let thrown: unknown;
		try {
			Person.parse({ id: 1 });
		} catch (error) {
			thrown = [error instanceof z.ZodError, error instanceof Error, (error as Error).name, (error as Error).message];
		}
		return {
			results,
			thrown,
			picked: Object.keys(Base.pick({ id: true }).shape),
			schema: z.toJSONSchema(Base.omit({ id: true })),
			pipe: z.string().transform((s) => s.length).pipe(z.number().min(2)).safeParse('a').success,
			pre: z.preprocess((v) => (typeof v === 'string' ? JSON.parse(v) : v), z.object({ a: z.number() })).parse('{"a":1}'),
			async: await z.string().refine(async (s) => s === 'x').safeParseAsync('x').then((r) => r.success),
			strict: z.strictObject({ a: z.number() }).safeParse({ a: 1, b: 2 }).success,
			loose: z.looseObject({ a: z.number() }).parse({ a: 1, b: 2 }),
			brand: z.string().brand<'Id'>().parse('x'),
			regex: z.string().regex(/^\d+$/).safeParse('12a').error?.issues[0]?.message,
			uuid: z.uuid().safeParse('9b2c6f1e-3c8e-4a55-9d6c-0f1f5f2b7c11').success,
			nativeEnum: z.enum({ A: 'a', B: 'b' } as const).parse('b'),
			map: [...z.map(z.string(), z.number()).parse(new Map([['a', 1]]))],
			bool: z.stringbool().parse('yes'),
			date: z.coerce.date().parse('2024-01-05').toISOString(),
			literal: z.literal([1, 2]).safeParse(3).error?.issues[0]?.message
		};
	}
});
