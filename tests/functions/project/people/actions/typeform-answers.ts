import { createAction } from 'nango';
import { z } from 'zod';

const Field = z.object({ id: z.string(), ref: z.string().optional(), type: z.string() });
const Answer = z.discriminatedUnion('type', [
	z.object({ type: z.literal('text'), field: Field, text: z.string() }),
	z.object({ type: z.literal('boolean'), field: Field, boolean: z.boolean() }),
	z.object({ type: z.literal('number'), field: Field, number: z.number() }),
	z.object({ type: z.literal('choices'), field: Field, choices: z.object({ labels: z.array(z.string()).default([]), other: z.string().optional() }) }),
	z.object({ type: z.enum(['email', 'url', 'phone_number']), field: Field, email: z.string().optional(), url: z.string().optional(), phone_number: z.string().optional() })
]);
type Answer = z.infer<typeof Answer>;

const valueOf = (answer: Answer): unknown => {
	switch (answer.type) {
		case 'text':
			return answer.text;
		case 'boolean':
			return answer.boolean ? 'yes' : 'no';
		case 'number':
			return answer.number;
		case 'choices':
			return [...answer.choices.labels, ...(answer.choices.other ? [`other: ${answer.choices.other}`] : [])];
		default:
			return answer[answer.type] ?? null;
	}
};

export default createAction({
	description: 'Answers of a survey as a table, with statistics',
	version: '1.0.0',
	input: z.object({ form: z.string(), since: z.string().optional() }),
	output: z.any(),
	exec: async (nango, { form, since }) => {
		const rows: Record<string, unknown>[] = [];
		let before: string | undefined;
		for (let i = 0; i < 4; i++) {
			const { data } = await nango.get({ endpoint: `/forms/${form}/responses`, params: { page_size: 2, ...(since ? { since } : {}), ...(before !== undefined && { before }) } });
			for (const item of data.items) {
				const answers = z.array(Answer).nullish().parse(item.answers) ?? [];
				rows.push(answers.reduce((row, answer) => Object.assign(row, { [answer.field.ref ?? answer.field.id]: valueOf(answer) }), { submitted: item.submitted_at } as Record<string, unknown>));
			}
			before = data.items.at(-1)?.token;
			if (data.items.length < 2) break;
		}
		const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
		const numbers = columns.map((name) => [name, rows.map((r) => r[name]).filter((v): v is number => typeof v === 'number')] as const).filter(([, list]) => list.length > 0);
		const csv = [columns, ...rows.map((row) => columns.map((name) => row[name] ?? ''))].map((line) => line.map((cell) => (/[",\n]/.test(String(cell)) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell))).join(',')).join('\n');
		return { csv, stats: Object.fromEntries(numbers.map(([name, list]) => [name, { n: list.length, mean: list.reduce((a, b) => a + b) / list.length, max: Math.max(...list) }])) };
	}
});
