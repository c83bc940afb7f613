import { createSync } from 'nango';
import * as z from 'zod';

import { GitHubIssue, Issue, Repository, issuesOf, toIssue } from '../issue.js';

const PAGE = 100;
const FULL_EVERY_MS = 24 * 3600 * 1000;

// since: everything that was updated before it is saved.  listed: when all issues were last listed to the end.
// walked: how far a listing of all is that has not come to its end; '' if none is under way.
const Checkpoint = z.object({ since: z.string(), listed: z.string(), walked: z.string() });

// The issues of a repository, by what was updated since the last run.
//
// It walks by time, not by page number: an issue that is updated meanwhile leaves its page for the last one, and
// the first of the next page would move up and be missed.  Only issues of one and the same second need pages.
//
// Issues that were deleted or moved away are in no answer: once a day all issues are listed, and what was not
// seen then is deleted.  The window of tracked deletes survives a run that ends early, and the next one goes on.
const sync = createSync({
	description: 'The issues of a GitHub repository, incrementally.',
	version: '1.0.0',
	frequency: 'every 5 minutes',
	autoStart: false, // start it when the connection's metadata names the repository
	models: { Issue },
	metadata: Repository,
	checkpoint: Checkpoint,
	exec: async (nango) => {
		const endpoint = issuesOf(await nango.getMetadata());
		const checkpoint = (await nango.getCheckpoint()) ?? { since: '', listed: '', walked: '' };
		const began = new Date().toISOString();
		const full = checkpoint.listed === '' || Date.parse(began) - Date.parse(checkpoint.listed) >= FULL_EVERY_MS;
		let since = full ? checkpoint.walked : checkpoint.since;
		let page = 1;

		if (full) await nango.trackDeletesStart('Issue');
		for (;;) {
			const { data } = await nango.get({
				endpoint,
				params: { state: 'all', sort: 'updated', direction: 'asc', per_page: PAGE, page, ...(since === '' ? {} : { since }) },
				retries: 5
			});
			const issues = z.array(GitHubIssue).parse(data);
			await nango.batchSave(issues.filter((issue) => issue.pull_request === undefined).map(toIssue), 'Issue');
			const last = issues.at(-1)?.updated_at ?? since;

			if (last === since) {
				page++;
			} else {
				page = 1;
				since = last;
				if (full) checkpoint.walked = since;
				if (since > checkpoint.since) checkpoint.since = since;
				await nango.saveCheckpoint(checkpoint);
			}
			if (issues.length < PAGE) break;
		}
		if (full) {
			// Before the window closes: a run that ends between the two lists again from the start, not from here
			// with a new window, in which all that stands before would not have been seen.
			checkpoint.walked = '';
			await nango.saveCheckpoint(checkpoint);
			await nango.trackDeletesEnd('Issue');
			await nango.saveCheckpoint({ ...checkpoint, listed: began });
		}
	}
});

export type NangoSyncLocal = Parameters<(typeof sync)['exec']>[0];
export default sync;
