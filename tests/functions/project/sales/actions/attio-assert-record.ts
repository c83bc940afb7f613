import { createAction } from 'nango';
import { z } from 'zod';

const AttributeValue = z.union([z.string(), z.number(), z.boolean(), z.array(z.string()), z.object({ currency_value: z.number() }).strict()]);
const InputSchema = z.object({ object: z.string(), matching: z.string(), values: z.record(z.string(), AttributeValue) }).strict();

const RecordSchema = z.object({
	data: z.object({
		id: z.object({ workspace_id: z.string(), object_id: z.string(), record_id: z.string() }),
		created_at: z.iso.datetime({ offset: true }),
		web_url: z.url().optional(),
		values: z.record(
			z.string(),
			z.array(
				z
					.object({
						active_from: z.string(),
						active_until: z.string().nullable(),
						attribute_type: z.enum(['text', 'number', 'email-address', 'domain', 'currency', 'select', 'timestamp']).or(z.string()),
						value: z.unknown().optional(),
						email_address: z.string().optional(),
						domain: z.string().optional(),
						currency_value: z.number().optional(),
						option: z.object({ title: z.string() }).loose().optional()
					})
					.loose()
			)
		)
	})
});

type Value = z.infer<typeof RecordSchema>['data']['values'][string][number];

const pick = (value: Value): unknown => {
	switch (value.attribute_type) {
		case 'email-address':
			return value.email_address;
		case 'domain':
			return value.domain;
		case 'currency':
			return value.currency_value;
		case 'select':
			return value.option?.title;
		default:
			return value.value;
	}
};

export default createAction({
	description: 'Assert a record by a matching attribute',
	version: '1.0.0',
	input: InputSchema,
	output: z.object({ record_id: z.string(), url: z.string().nullable(), created_at: z.string(), values: z.record(z.string(), z.unknown()) }),
	exec: async (nango, input) => {
		const validated = InputSchema.parse(input);
		const response = await nango.put({
			endpoint: `/v2/objects/${validated.object}/records`,
			params: { matching_attribute: validated.matching },
			data: { data: { values: validated.values } },
			retries: 3
		});
		const { data } = RecordSchema.parse(response.data);
		const values = Object.fromEntries(
			Object.entries(data.values)
				.map(([name, list]) => [name, list.filter((v) => v.active_until === null).map(pick)] as const)
				.map(([name, list]) => [name, list.length > 1 ? list : (list[0] ?? null)])
		);
		return { record_id: data.id.record_id, url: data.web_url ?? null, created_at: data.created_at, values };
	}
});
