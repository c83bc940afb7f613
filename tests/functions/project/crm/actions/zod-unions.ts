import { createAction } from 'nango';
import * as z from 'zod';

const Shape = z.discriminatedUnion('kind', [
	z.object({ kind: z.literal('circle'), radius: z.number().positive() }),
	z.object({ kind: z.literal(['square', 'rect']), side: z.coerce.number(), height: z.number().optional() }),
	z.object({ kind: z.literal('group'), get parts() { return z.array(Shape); } })
]) as z.ZodType<any>;
const Money = z.union([z.number(), z.string().regex(/^\d+(\.\d{1,2})?$/).transform(Number), z.object({ cents: z.int() }).transform(({ cents }) => cents / 100)]);
const Period = z.object({ from: z.iso.datetime({ offset: true }), to: z.iso.datetime({ offset: true }), days: z.number().optional() }).superRefine((value, ctx) => {
	if (new Date(value.from) > new Date(value.to)) ctx.addIssue({ code: 'custom', path: ['to'], message: 'ends before it begins', params: { from: value.from } });
	if (value.days !== undefined && value.days < 1) ctx.addIssue({ code: 'too_small', minimum: 1, origin: 'number', inclusive: true, input: value.days, path: ['days'] });
});

export default createAction({
	description: 'zod: discriminated unions, transforms, superRefine',
	input: z.object({ shapes: z.array(z.any()), money: z.array(z.any()), periods: z.array(z.any()) }),
	output: z.any(),
	exec: async (_nango, input) => {
		const check = (schema: z.ZodType<any>) => (value: unknown) => {
			const result = schema.safeParse(value);
			return result.success ? result.data : result.error.issues;
		};
		return { shapes: input.shapes.map(check(Shape)), money: input.money.map(check(Money)), periods: input.periods.map(check(Period)), area: input.shapes.map((s) => Shape.safeParse(s)).filter((r) => r.success).map(({ data }: any) => (data.kind === 'circle' ? +(Math.PI * data.radius ** 2).toFixed(3) : data.side ?? null)) };
	}
});
