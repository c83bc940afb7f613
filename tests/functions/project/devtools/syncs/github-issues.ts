import { createSync } from 'nango';
import { z } from 'zod';

const Issue = z.object({ id: z.string(), number: z.number(), title: z.string(), author: z.string().optional(), labels: z.array(z.string()), is_pr: z.boolean(), body_preview: z.string().nullable() });

export default createSync({
	description: 'Issues of all repositories, 404 and 409 are skipped',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	models: { Issue, PullRequest: Issue },
	exec: async (nango) => {
		await nango.trackDeletesStart('Issue');
		for await (const repositories of nango.paginate<any>({ endpoint: '/user/repos', params: { type: 'all' }, paginate: { type: 'link', link_rel_in_response_header: 'next', limit_name_in_request: 'per_page', limit: 2 } })) {
			for (const { full_name, archived } of repositories) {
				if (archived) continue;
				try {
					for await (const page of nango.paginate<any>({ endpoint: `/repos/${full_name}/issues`, params: { state: 'all', sort: 'updated' }, paginate: { type: 'offset', offset_name_in_request: 'page', offset_start_value: 1, offset_calculation_method: 'per-page', limit_name_in_request: 'per_page', limit: 2 } })) {
						const mapped = page.map((i): z.infer<typeof Issue> => ({ id: String(i.id), number: i.number, title: i.title, ...(i.user && { author: i.user.login }), labels: i.labels.map((l: string | { name: string }) => (typeof l === 'string' ? l : l.name)), is_pr: i.pull_request !== undefined, body_preview: i.body?.slice(0, 10) ?? null }));
						await nango.batchSave(mapped.filter((i) => !i.is_pr), 'Issue');
						await nango.batchSave(mapped.filter((i) => i.is_pr), 'PullRequest');
					}
				} catch (error: any) {
					if (![404, 409].includes(error.response?.status)) throw error;
					await nango.log(`skipped ${full_name}: ${error.message}, ${error.response.data?.message}`, { level: 'warn' });
				}
			}
		}
		await nango.trackDeletesEnd('Issue');
	}
});
