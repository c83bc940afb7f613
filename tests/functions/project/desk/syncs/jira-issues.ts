import { createSync } from 'nango';
import { z } from 'zod';

const Issue = z.object({ id: z.string(), key: z.string(), summary: z.string(), status: z.string(), assignee: z.string().nullable(), updated: z.string(), comments: z.array(z.object({ author: z.string(), at: z.string(), text: z.string() })) });
const MetadataSchema = z.object({ projectKeys: z.array(z.object({ key: z.string() })), jql: z.string().optional() });

function jql(metadata: z.infer<typeof MetadataSchema>, since: Date | undefined): string {
	const clauses = [`project in (${metadata.projectKeys.map(({ key }) => `"${key}"`).join(',')})`];
	if (metadata.jql) clauses.push(`(${metadata.jql})`);
	if (since) {
		const [date, time] = since.toISOString().split('T') as [string, string];
		clauses.push(`updated >= "${date} ${time.slice(0, 5)}"`);
	}
	return `${clauses.join(' AND ')} ORDER BY updated ASC`;
}

export default createSync({
	description: 'Issues of projects, comments fetched for each',
	version: '1.0.0',
	frequency: 'every 5 minutes',
	autoStart: true,
	metadata: MetadataSchema,
	checkpoint: z.object({ updated_since: z.string() }),
	models: { Issue },
	exec: async (nango) => {
		const metadata = await nango.getMetadata();
		if (!metadata?.projectKeys?.length) throw new Error('No projects are chosen');
		const checkpoint = await nango.getCheckpoint();
		const since = checkpoint ? new Date(checkpoint.updated_since) : undefined;
		let newest: string | undefined;
		for await (const issues of nango.paginate<any>({
			endpoint: '/rest/api/3/search/jql',
			params: { jql: jql(metadata, since), fields: ['summary', 'status', 'assignee', 'updated'].join(',') },
			headers: { 'X-Atlassian-Token': 'no-check' },
			paginate: { type: 'cursor', cursor_path_in_response: 'nextPageToken', cursor_name_in_request: 'nextPageToken', limit_name_in_request: 'maxResults', limit: 2, response_path: 'issues' },
			retries: 3
		})) {
			const records = [];
			for (const { id, key, fields } of issues) {
				const { data } = await nango.get<any>({ endpoint: `/rest/api/3/issue/${key}/comment` });
				records.push({
					id,
					key,
					summary: fields.summary,
					status: fields.status?.name ?? 'Unknown',
					assignee: fields.assignee?.emailAddress ?? null,
					updated: new Date(fields.updated).toISOString(),
					comments: data.comments.map((c: any) => ({ author: c.author?.displayName ?? 'Anonymous', at: new Date(c.created).toISOString(), text: c.body?.content?.flatMap((p: any) => p.content?.map((t: any) => t.text ?? '') ?? []).join(' ') ?? '' }))
				});
			}
			await nango.batchSave(records, 'Issue');
			newest = records.at(-1)?.updated ?? newest;
		}
		if (newest) await nango.saveCheckpoint({ updated_since: newest });
	}
});
