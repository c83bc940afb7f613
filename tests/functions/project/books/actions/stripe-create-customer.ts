import { createAction } from 'nango';
import { z } from 'zod';

type Nested = string | number | boolean | null | undefined | Nested[] | { [key: string]: Nested };

// Stripe reads forms with brackets.
function flatten(value: Nested, prefix = '', out: [string, string][] = []): [string, string][] {
	if (value === undefined) return out;
	if (value === null) out.push([prefix, '']);
	else if (Array.isArray(value)) value.forEach((item, i) => flatten(item, `${prefix}[${i}]`, out));
	else if (typeof value === 'object') for (const key in value) flatten(value[key], prefix ? `${prefix}[${key}]` : key, out);
	else out.push([prefix, String(value)]);
	return out;
}

export default createAction({
	description: 'Create a customer by a form of nested fields',
	version: '1.0.0',
	input: z.object({ email: z.string(), name: z.string().nullish(), metadata: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(), address: z.object({ line1: z.string(), country: z.string().length(2).toUpperCase() }).partial().optional(), preferred_locales: z.array(z.string()).optional() }),
	output: z.object({ id: z.string(), created: z.date().or(z.string()), livemode: z.boolean() }),
	exec: async (nango, input) => {
		const data = flatten(input as Nested).map(([k, v]) => `${encodeURIComponent(k)}=${encodeURIComponent(v)}`).join('&');
		const response = await nango.post({ endpoint: '/v1/customers', data, headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'Stripe-Version': '2024-06-20' } });
		return { id: response.data.id, created: new Date(response.data.created * 1000), livemode: response.data.livemode };
	}
});
