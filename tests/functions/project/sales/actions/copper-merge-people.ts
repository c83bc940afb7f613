import { createAction } from 'nango';
import { z } from 'zod';

const Person = z.object({ id: z.number(), name: z.string(), emails: z.array(z.object({ email: z.string(), category: z.string() })).optional(), date_created: z.number(), custom_fields: z.array(z.object({ custom_field_definition_id: z.number(), value: z.union([z.string(), z.number(), z.null()]) })).optional(), websites: z.array(z.unknown()).optional() });
type Person = z.infer<typeof Person>;

export default createAction({
	description: 'Reads several people at once and merges what they say',
	version: '1.0.0',
	input: z.object({ ids: z.array(z.union([z.number(), z.string()])) }),
	output: z.any(),
	exec: async (nango, input) => {
		const results = await Promise.allSettled(input.ids.map((id) => nango.get({ endpoint: `/developer_api/v1/people/${id}` })));
		const failures = results.flatMap((result, index) => (result.status === 'rejected' ? [{ id: input.ids[index], reason: result.reason instanceof Error ? result.reason.message : String(result.reason), code: (result.reason as any).code }] : []));
		const people = results
			.filter((r): r is PromiseFulfilledResult<any> => r.status === 'fulfilled')
			.map((r) => Person.safeParse(r.value.data))
			.filter((p): p is z.ZodSafeParseSuccess<Person> => p.success)
			.map((p) => p.data);
		const merged = people.reduce<{ names: string[]; emails: Map<string, string[]>; fields: Record<number, unknown>; first: number }>(
			(all, person) => {
				all.names.push(person.name.normalize('NFC'));
				for (const { email, category } of person.emails ?? []) {
					const key = email.toLowerCase();
					all.emails.set(key, [...(all.emails.get(key) ?? []), category]);
				}
				for (const field of person.custom_fields ?? []) all.fields[field.custom_field_definition_id] ??= field.value;
				all.first = Math.min(all.first, person.date_created);
				return all;
			},
			{ names: [], emails: new Map(), fields: {}, first: Infinity }
		);
		return {
			names: merged.names.sort((a, b) => a.localeCompare(b, 'en', { sensitivity: 'base' })),
			emails: Array.from(merged.emails, ([email, categories]) => ({ email, categories: [...new Set(categories)].sort() })),
			fields: merged.fields,
			first: Number.isFinite(merged.first) ? new Date(merged.first * 1000).toISOString() : null,
			failures
		};
	}
});
