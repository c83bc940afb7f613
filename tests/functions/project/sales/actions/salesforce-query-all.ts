import { createAction } from 'nango';
import type { NangoAction } from 'nango';
import { z } from 'zod';

const InputSchema = z.object({ object: z.enum(['Account', 'Contact', 'Lead']), fields: z.array(z.string()).min(1), where: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).optional() });
type Input = z.infer<typeof InputSchema>;

interface QueryPage {
	totalSize: number;
	done: boolean;
	nextRecordsUrl?: string;
	records: Array<Record<string, any> & { attributes?: { type: string; url: string } }>;
}

function quote(value: string | number | boolean | null): string {
	if (value === null) return 'NULL';
	if (typeof value === 'string') return `'${value.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
	return value.toString();
}

function buildQuery({ object, fields, where }: Input): string {
	const conditions = Object.entries(where ?? {}).map(([field, value]) => `${field} = ${quote(value)}`);
	return `SELECT ${fields.join(', ')} FROM ${object}${conditions.length ? ` WHERE ${conditions.join(' AND ')}` : ''}`;
}

async function* pages(nango: Pick<NangoAction, 'get'>, soql: string): AsyncGenerator<QueryPage['records'], number, undefined> {
	let endpoint: string | undefined = `/services/data/v60.0/query?q=${encodeURIComponent(soql)}`;
	let count = 0;
	while (endpoint) {
		const { data }: { data: QueryPage } = await nango.get<QueryPage>({ endpoint, retries: 3 });
		count += data.records.length;
		yield data.records;
		endpoint = data.done ? undefined : data.nextRecordsUrl;
	}
	return count;
}

const action = createAction({
	description: 'Reads all rows of a query',
	version: '1.0.0',
	input: InputSchema,
	output: z.object({ rows: z.array(z.record(z.string(), z.unknown())), count: z.number(), soql: z.string() }),
	exec: async (nango, input) => {
		const soql = buildQuery(input);
		const rows: Record<string, unknown>[] = [];
		const iterator = pages(nango, soql);
		let step = await iterator.next();
		while (!step.done) {
			for (const { attributes: _ignored, ...row } of step.value) rows.push(row);
			step = await iterator.next();
		}
		return { rows, count: step.value, soql };
	}
});

export default action;
