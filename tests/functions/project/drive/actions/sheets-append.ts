import { createAction } from 'nango';
import { z } from 'zod';

const column = (index: number): string => (index < 26 ? String.fromCharCode(65 + index) : column(Math.floor(index / 26) - 1) + column(index % 26));
const serial = (date: Date) => date.getTime() / 86400000 + 25569;
const Cell = z.union([z.string(), z.number(), z.boolean(), z.null(), z.object({ date: z.coerce.date() })]);

export default createAction({
	description: 'Append rows, then read back what is there',
	version: '1.0.0',
	input: z.object({ sheet: z.string(), tab: z.string(), rows: z.array(z.array(Cell)).min(1) }),
	output: z.any(),
	exec: async (nango, raw) => {
		const rows = z.array(z.array(Cell)).parse(raw.rows);
		const width = Math.max(...rows.map((row) => row.length));
		const range = `'${raw.tab.replace(/'/g, "''")}'!A1:${column(width - 1)}`;
		const values = rows.map((row) => row.map((cell) => (cell !== null && typeof cell === 'object' ? serial(cell.date) : (cell ?? ''))));
		const appended = await nango.post({ endpoint: `/v4/spreadsheets/${raw.sheet}/values/${encodeURIComponent(range)}:append`, params: { valueInputOption: 'RAW', insertDataOption: 'INSERT_ROWS' }, data: { range, majorDimension: 'ROWS', values } });
		const got = await nango.get({ endpoint: `/v4/spreadsheets/${raw.sheet}/values:batchGet`, params: `ranges=${encodeURIComponent(range)}&valueRenderOption=UNFORMATTED_VALUE` });
		const [head = [], ...body] = got.data.valueRanges?.[0]?.values ?? [];
		return {
			range: appended.data.updates?.updatedRange,
			columns: [0, 25, 26, 701, 702, 18277].map(column),
			objects: body.map((row: unknown[]) => Object.fromEntries(head.map((name: unknown, i: number) => [String(name).trim().toLowerCase().replace(/\W+/g, '_'), row[i] ?? null])))
		};
	}
});
