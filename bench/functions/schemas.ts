import { createAction } from 'nango';
import * as z from 'zod';

const Part0 = z.object({
	field0: z.string(),
	field1: z.string().optional(),
	field2: z.enum(['open', 'closed', 'lost']).nullable(),
	field3: z.number(),
	field4: z.array(z.string()).optional(),
	field5: z.string().nullish(),
});
const Part1 = z.object({
	field0: z.union([z.string(), z.number()]).optional(),
	field1: z.string(),
	field2: z.string().optional(),
	field3: z.enum(['open', 'closed', 'lost']).nullable(),
	field4: z.number(),
	field5: z.array(z.string()).optional(),
	child: Part0.optional(),
});
const Part2 = z.object({
	field0: z.boolean().nullable(),
	field1: z.union([z.string(), z.number()]).optional(),
	field2: z.string(),
	field3: z.string().optional(),
	field4: z.enum(['open', 'closed', 'lost']).nullable(),
	field5: z.number(),
	child: Part0.optional(),
});
const Part3 = z.object({
	field0: z.string().nullish(),
	field1: z.boolean().nullable(),
	field2: z.union([z.string(), z.number()]).optional(),
	field3: z.string(),
	field4: z.string().optional(),
	field5: z.enum(['open', 'closed', 'lost']).nullable(),
	child: Part0.optional(),
});
const Part4 = z.object({
	field0: z.array(z.string()).optional(),
	field1: z.string().nullish(),
	field2: z.boolean().nullable(),
	field3: z.union([z.string(), z.number()]).optional(),
	field4: z.string(),
	field5: z.string().optional(),
	child: Part0.optional(),
});
const Part5 = z.object({
	field0: z.number(),
	field1: z.array(z.string()).optional(),
	field2: z.string().nullish(),
	field3: z.boolean().nullable(),
	field4: z.union([z.string(), z.number()]).optional(),
	field5: z.string(),
	child: Part0.optional(),
});
const Part6 = z.object({
	field0: z.enum(['open', 'closed', 'lost']).nullable(),
	field1: z.number(),
	field2: z.array(z.string()).optional(),
	field3: z.string().nullish(),
	field4: z.boolean().nullable(),
	field5: z.union([z.string(), z.number()]).optional(),
	child: Part0.optional(),
});
const Part7 = z.object({
	field0: z.string().optional(),
	field1: z.enum(['open', 'closed', 'lost']).nullable(),
	field2: z.number(),
	field3: z.array(z.string()).optional(),
	field4: z.string().nullish(),
	field5: z.boolean().nullable(),
	child: Part0.optional(),
});
const Part8 = z.object({
	field0: z.string(),
	field1: z.string().optional(),
	field2: z.enum(['open', 'closed', 'lost']).nullable(),
	field3: z.number(),
	field4: z.array(z.string()).optional(),
	field5: z.string().nullish(),
	child: Part0.optional(),
});
const Part9 = z.object({
	field0: z.union([z.string(), z.number()]).optional(),
	field1: z.string(),
	field2: z.string().optional(),
	field3: z.enum(['open', 'closed', 'lost']).nullable(),
	field4: z.number(),
	field5: z.array(z.string()).optional(),
	child: Part0.optional(),
});
const Part10 = z.object({
	field0: z.boolean().nullable(),
	field1: z.union([z.string(), z.number()]).optional(),
	field2: z.string(),
	field3: z.string().optional(),
	field4: z.enum(['open', 'closed', 'lost']).nullable(),
	field5: z.number(),
	child: Part0.optional(),
});
const Part11 = z.object({
	field0: z.string().nullish(),
	field1: z.boolean().nullable(),
	field2: z.union([z.string(), z.number()]).optional(),
	field3: z.string(),
	field4: z.string().optional(),
	field5: z.enum(['open', 'closed', 'lost']).nullable(),
	child: Part0.optional(),
});
const Part12 = z.object({
	field0: z.array(z.string()).optional(),
	field1: z.string().nullish(),
	field2: z.boolean().nullable(),
	field3: z.union([z.string(), z.number()]).optional(),
	field4: z.string(),
	field5: z.string().optional(),
	child: Part0.optional(),
});
const Part13 = z.object({
	field0: z.number(),
	field1: z.array(z.string()).optional(),
	field2: z.string().nullish(),
	field3: z.boolean().nullable(),
	field4: z.union([z.string(), z.number()]).optional(),
	field5: z.string(),
	child: Part0.optional(),
});
const Part14 = z.object({
	field0: z.enum(['open', 'closed', 'lost']).nullable(),
	field1: z.number(),
	field2: z.array(z.string()).optional(),
	field3: z.string().nullish(),
	field4: z.boolean().nullable(),
	field5: z.union([z.string(), z.number()]).optional(),
	child: Part0.optional(),
});
const Part15 = z.object({
	field0: z.string().optional(),
	field1: z.enum(['open', 'closed', 'lost']).nullable(),
	field2: z.number(),
	field3: z.array(z.string()).optional(),
	field4: z.string().nullish(),
	field5: z.boolean().nullable(),
	child: Part0.optional(),
});
const Part16 = z.object({
	field0: z.string(),
	field1: z.string().optional(),
	field2: z.enum(['open', 'closed', 'lost']).nullable(),
	field3: z.number(),
	field4: z.array(z.string()).optional(),
	field5: z.string().nullish(),
	child: Part0.optional(),
});
const Part17 = z.object({
	field0: z.union([z.string(), z.number()]).optional(),
	field1: z.string(),
	field2: z.string().optional(),
	field3: z.enum(['open', 'closed', 'lost']).nullable(),
	field4: z.number(),
	field5: z.array(z.string()).optional(),
	child: Part0.optional(),
});
const Part18 = z.object({
	field0: z.boolean().nullable(),
	field1: z.union([z.string(), z.number()]).optional(),
	field2: z.string(),
	field3: z.string().optional(),
	field4: z.enum(['open', 'closed', 'lost']).nullable(),
	field5: z.number(),
	child: Part0.optional(),
});
const Part19 = z.object({
	field0: z.string().nullish(),
	field1: z.boolean().nullable(),
	field2: z.union([z.string(), z.number()]).optional(),
	field3: z.string(),
	field4: z.string().optional(),
	field5: z.enum(['open', 'closed', 'lost']).nullable(),
	child: Part0.optional(),
});
const Part20 = z.object({
	field0: z.array(z.string()).optional(),
	field1: z.string().nullish(),
	field2: z.boolean().nullable(),
	field3: z.union([z.string(), z.number()]).optional(),
	field4: z.string(),
	field5: z.string().optional(),
	child: Part0.optional(),
});
const Part21 = z.object({
	field0: z.number(),
	field1: z.array(z.string()).optional(),
	field2: z.string().nullish(),
	field3: z.boolean().nullable(),
	field4: z.union([z.string(), z.number()]).optional(),
	field5: z.string(),
	child: Part0.optional(),
});
const Part22 = z.object({
	field0: z.enum(['open', 'closed', 'lost']).nullable(),
	field1: z.number(),
	field2: z.array(z.string()).optional(),
	field3: z.string().nullish(),
	field4: z.boolean().nullable(),
	field5: z.union([z.string(), z.number()]).optional(),
	child: Part0.optional(),
});
const Part23 = z.object({
	field0: z.string().optional(),
	field1: z.enum(['open', 'closed', 'lost']).nullable(),
	field2: z.number(),
	field3: z.array(z.string()).optional(),
	field4: z.string().nullish(),
	field5: z.boolean().nullable(),
	child: Part0.optional(),
});
const Part24 = z.object({
	field0: z.string(),
	field1: z.string().optional(),
	field2: z.enum(['open', 'closed', 'lost']).nullable(),
	field3: z.number(),
	field4: z.array(z.string()).optional(),
	field5: z.string().nullish(),
	child: Part0.optional(),
});
const Part25 = z.object({
	field0: z.union([z.string(), z.number()]).optional(),
	field1: z.string(),
	field2: z.string().optional(),
	field3: z.enum(['open', 'closed', 'lost']).nullable(),
	field4: z.number(),
	field5: z.array(z.string()).optional(),
	child: Part0.optional(),
});
const Part26 = z.object({
	field0: z.boolean().nullable(),
	field1: z.union([z.string(), z.number()]).optional(),
	field2: z.string(),
	field3: z.string().optional(),
	field4: z.enum(['open', 'closed', 'lost']).nullable(),
	field5: z.number(),
	child: Part0.optional(),
});
const Part27 = z.object({
	field0: z.string().nullish(),
	field1: z.boolean().nullable(),
	field2: z.union([z.string(), z.number()]).optional(),
	field3: z.string(),
	field4: z.string().optional(),
	field5: z.enum(['open', 'closed', 'lost']).nullable(),
	child: Part0.optional(),
});
const Part28 = z.object({
	field0: z.array(z.string()).optional(),
	field1: z.string().nullish(),
	field2: z.boolean().nullable(),
	field3: z.union([z.string(), z.number()]).optional(),
	field4: z.string(),
	field5: z.string().optional(),
	child: Part0.optional(),
});
const Part29 = z.object({
	field0: z.number(),
	field1: z.array(z.string()).optional(),
	field2: z.string().nullish(),
	field3: z.boolean().nullable(),
	field4: z.union([z.string(), z.number()]).optional(),
	field5: z.string(),
	child: Part0.optional(),
});
const Part30 = z.object({
	field0: z.enum(['open', 'closed', 'lost']).nullable(),
	field1: z.number(),
	field2: z.array(z.string()).optional(),
	field3: z.string().nullish(),
	field4: z.boolean().nullable(),
	field5: z.union([z.string(), z.number()]).optional(),
	child: Part0.optional(),
});
const Part31 = z.object({
	field0: z.string().optional(),
	field1: z.enum(['open', 'closed', 'lost']).nullable(),
	field2: z.number(),
	field3: z.array(z.string()).optional(),
	field4: z.string().nullish(),
	field5: z.boolean().nullable(),
	child: Part0.optional(),
});
const Part32 = z.object({
	field0: z.string(),
	field1: z.string().optional(),
	field2: z.enum(['open', 'closed', 'lost']).nullable(),
	field3: z.number(),
	field4: z.array(z.string()).optional(),
	field5: z.string().nullish(),
	child: Part0.optional(),
});
const Part33 = z.object({
	field0: z.union([z.string(), z.number()]).optional(),
	field1: z.string(),
	field2: z.string().optional(),
	field3: z.enum(['open', 'closed', 'lost']).nullable(),
	field4: z.number(),
	field5: z.array(z.string()).optional(),
	child: Part0.optional(),
});

const Everything = z.object({ part0: Part0.optional(), part1: Part1.optional(), part2: Part2.optional(), part3: Part3.optional(), part4: Part4.optional(), part5: Part5.optional(), part6: Part6.optional(), part7: Part7.optional(), part8: Part8.optional(), part9: Part9.optional(), part10: Part10.optional(), part11: Part11.optional(), part12: Part12.optional(), part13: Part13.optional(), part14: Part14.optional(), part15: Part15.optional(), part16: Part16.optional(), part17: Part17.optional(), part18: Part18.optional(), part19: Part19.optional(), part20: Part20.optional(), part21: Part21.optional(), part22: Part22.optional(), part23: Part23.optional(), part24: Part24.optional(), part25: Part25.optional(), part26: Part26.optional(), part27: Part27.optional(), part28: Part28.optional(), part29: Part29.optional(), part30: Part30.optional(), part31: Part31.optional(), part32: Part32.optional(), part33: Part33.optional() });

export default createAction({
	description: 'a list with 34 schemas',
	input: z.object({ id: z.string() }),
	output: z.array(Everything),
	exec: async (nango, input) => {
		const answer = await nango.get({ endpoint: '/items/' + input.id });
		const items = Array.isArray(answer.data) ? answer.data : [];
		return items.map((item: unknown) => Everything.parse(item));
	}
});
