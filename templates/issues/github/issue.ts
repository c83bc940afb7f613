// The model that the sync keeps and the action answers, and how an issue of GitHub's REST API becomes one.
import * as z from 'zod';

export const Issue = z.object({
	id: z.string(),
	number: z.number(),
	title: z.string(),
	body: z.string().nullable(),
	state: z.enum(['open', 'closed']),
	author: z.string().nullable(),
	labels: z.array(z.string()),
	url: z.string(),
	createdAt: z.string(),
	updatedAt: z.string(),
	closedAt: z.string().nullable()
});
export type Issue = z.infer<typeof Issue>;

// Which repository a connection is about: set as metadata of the connection.
export const Repository = z.object({ owner: z.string(), repo: z.string() });

// What is read of an answer.  A pull request is an issue too, and says so.
export const GitHubIssue = z.object({
	id: z.number(),
	number: z.number(),
	title: z.string(),
	body: z.string().nullish(),
	state: z.enum(['open', 'closed']),
	user: z.object({ login: z.string() }).nullish(),
	labels: z.array(z.union([z.string(), z.object({ name: z.string().nullish() })])),
	html_url: z.string(),
	created_at: z.string(),
	updated_at: z.string(),
	closed_at: z.string().nullish(),
	pull_request: z.unknown().optional()
});

export function toIssue(raw: z.infer<typeof GitHubIssue>): Issue {
	return {
		id: String(raw.id),
		number: raw.number,
		title: raw.title,
		body: raw.body ?? null,
		state: raw.state,
		author: raw.user?.login ?? null,
		labels: raw.labels.map((label) => (typeof label === 'string' ? label : (label.name ?? ''))).filter((name) => name !== ''),
		url: raw.html_url,
		createdAt: raw.created_at,
		updatedAt: raw.updated_at,
		closedAt: raw.closed_at ?? null
	};
}

export function issuesOf(metadata: unknown): string {
	const { owner, repo } = Repository.parse(metadata);
	return `/repos/${encodeURIComponent(owner)}/${encodeURIComponent(repo)}/issues`;
}
