import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'A query language in the query string',
	input: z.object({ name: z.string(), since: z.string().optional() }),
	output: z.any(),
	exec: async (nango, { name, since }) => {
		const escaped = name.replace(/\\/g, '\\\\').replace(/'/g, "\\'");
		const where = [`Name LIKE '%${escaped}%'`, since && `LastModifiedDate >= ${new Date(since).toISOString()}`].filter(Boolean).join(' AND ');
		const { data } = await nango.get({ endpoint: '/services/data/v60.0/query', params: { q: `SELECT Id, Name FROM Account WHERE ${where} ORDER BY Name ASC` } });
		let rows = data.records;
		let next: string | undefined = data.nextRecordsUrl;
		while (next) {
			const page = await nango.get({ endpoint: next });
			rows = rows.concat(page.data.records);
			next = page.data.nextRecordsUrl;
		}
		return rows.map(({ attributes: _ignored, ...rest }: any) => rest);
	}
});
