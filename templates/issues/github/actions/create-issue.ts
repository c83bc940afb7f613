import { createAction } from 'nango';
import * as z from 'zod';

import { GitHubIssue, Issue, Repository, issuesOf, toIssue } from '../issue.js';

// Opens an issue and answers what the sync will keep of it: an app can show it at once and recognise it, by its id,
// when it comes with the records.  It is asked for once: GitHub knows no key by which a second request is the same.
const action = createAction({
	description: 'Opens an issue in the GitHub repository of the connection.',
	version: '1.0.0',
	input: z.object({ title: z.string().min(1), body: z.string().optional(), labels: z.array(z.string()).optional() }),
	output: Issue,
	metadata: Repository,
	exec: async (nango, input) => {
		const { data } = await nango.post({ endpoint: issuesOf(await nango.getMetadata()), data: input });
		return toIssue(GitHubIssue.parse(data));
	}
});

export default action;
