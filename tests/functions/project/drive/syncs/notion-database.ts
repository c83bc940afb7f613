import { createSync } from 'nango';
import { z } from 'zod';

const Row = z.object({ id: z.string(), url: z.string().nullable(), last_edited: z.string(), properties: z.record(z.string(), z.unknown()) });

type Property = { type: string } & Record<string, any>;
const readers: Record<string, (p: Property) => unknown> = {
	title: (p) => p['title'].map((t: any) => t.plain_text).join(''),
	rich_text: (p) => p['rich_text'].map((t: any) => t.plain_text).join('') || null,
	number: ({ number }) => number,
	select: ({ select }) => select?.name ?? null,
	multi_select: ({ multi_select }) => multi_select.map(({ name }: { name: string }) => name),
	checkbox: ({ checkbox }) => checkbox,
	date: ({ date }) => date && [date.start, date.end].filter((d) => d != null),
	people: ({ people }) => people.map((p: any) => p.person?.email ?? p.name ?? p.id),
	formula: ({ formula }) => formula[formula.type],
	unique_id: ({ unique_id: { prefix, number } }) => [prefix, number].filter((x) => x !== null).join('-'),
	rollup: ({ rollup }) => (rollup.type === 'array' ? rollup.array.map(readProperty) : rollup[rollup.type])
};
function readProperty(property: Property): unknown {
	return property.type in readers ? readers[property.type]!(property) : { unsupported: property.type };
}

export default createSync({
	description: 'Rows of a database by POST query',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	metadata: z.object({ databaseId: z.string() }),
	models: { Row },
	exec: async (nango) => {
		const { databaseId } = await nango.getMetadata();
		const { lastSyncDate } = nango;
		for await (const page of nango.paginate<any>({
			method: 'POST',
			endpoint: `/v1/databases/${databaseId}/query`,
			headers: { 'Notion-Version': '2022-06-28' },
			data: { page_size: 50, sorts: [{ timestamp: 'last_edited_time', direction: 'descending' }], ...(lastSyncDate && { filter: { timestamp: 'last_edited_time' } }) },
			paginate: { type: 'cursor', cursor_path_in_response: 'next_cursor', cursor_name_in_request: 'start_cursor', response_path: 'results' }
		})) {
			await nango.batchSave(
				page.map(({ id, url, last_edited_time, properties }) => ({ id, url: url ?? null, last_edited: last_edited_time, properties: Object.fromEntries(Object.entries<Property>(properties).map(([name, property]) => [name, readProperty(property)])) })),
				'Row'
			);
		}
	}
});
