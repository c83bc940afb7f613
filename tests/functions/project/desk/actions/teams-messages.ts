import { createAction } from 'nango';
import { z } from 'zod';

const Message = z.object({ id: z.string(), createdDateTime: z.coerce.date(), from: z.object({ user: z.object({ id: z.string(), displayName: z.string().nullable() }).nullable() }).nullable(), body: z.object({ contentType: z.enum(['html', 'text']), content: z.string() }), reactions: z.array(z.object({ reactionType: z.string() })).default([]), deletedDateTime: z.string().nullable().optional() });

export default createAction({
	description: 'Latest messages of a channel, @odata.nextLink by hand',
	version: '1.0.0',
	input: z.object({ team: z.string(), channel: z.string(), since: z.string().optional() }),
	output: z.any(),
	exec: async (nango, input) => {
		const since = input.since ? new Date(input.since) : new Date(0);
		if (isNaN(since.getTime())) throw new nango.ActionError({ type: 'invalid_input', message: `since is no date: ${input.since}` });
		const messages: z.output<typeof Message>[] = [];
		let nextLink: string | undefined;
		let rounds = 0;
		while (true) {
			const response: any = nextLink
				? await nango.get({ endpoint: nextLink.replace(/^https?:\/\/[^/]+\/api/, ''), retries: 3 })
				: await nango.get({ endpoint: `/v1.0/teams/${input.team}/channels/${encodeURIComponent(input.channel)}/messages`, params: { $top: 2, $expand: 'replies' }, retries: 3 });
			const page = z.array(Message).parse(response.data.value);
			messages.push(...page.filter((m) => m.createdDateTime >= since && !m.deletedDateTime));
			nextLink = response.data['@odata.nextLink'];
			if (!nextLink || ++rounds > 5 || page.some((m) => m.createdDateTime < since)) break;
		}
		return messages
			.sort((a, b) => +a.createdDateTime - +b.createdDateTime)
			.map(({ id, createdDateTime, from, body, reactions }) => ({
				id,
				createdDateTime,
				author: from?.user?.displayName ?? from?.user?.id ?? 'system',
				text: body.contentType === 'html' ? body.content.replace(/<at id="(\d+)">(.*?)<\/at>/g, '@$2[$1]').replace(/<[^>]+>/g, '') : body.content,
				reactions: reactions.reduce((all, { reactionType }) => ({ ...all, [reactionType]: (all[reactionType] ?? 0) + 1 }), {} as Record<string, number>)
			}));
	}
});
