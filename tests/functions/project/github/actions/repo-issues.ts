import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'The pagination of the provider, not of the function',
	input: z.object({ base: z.string() }),
	output: z.any(),
	exec: async (nango, { base }) => {
		const titles: string[] = [];
		for await (const page of nango.paginate<{ title: string; pull_request?: unknown }>({ baseUrlOverride: base, endpoint: '/repos/a/b/issues', params: { state: 'all' } })) {
			titles.push(...page.filter((issue) => !('pull_request' in issue)).map((issue) => issue.title));
		}
		return { titles, token: typeof (await nango.getToken()) };
	}
});
