import { createAction } from 'nango';
import { z } from 'zod';

const Envelope = <T extends z.ZodType>(results: T) => z.object({ success: z.boolean(), results: results.optional(), errors: z.array(z.string()).optional(), errorInfo: z.object({ code: z.string(), requestId: z.string() }).optional(), moreDataAvailable: z.boolean().optional(), nextCursor: z.string().optional() });
const Candidate = z.object({ id: z.string(), name: z.string(), primaryEmailAddress: z.object({ value: z.string() }).nullish(), tags: z.array(z.object({ title: z.string() })).default([]), createdAt: z.string() });

export default createAction({
	description: 'Search candidates, pages by a cursor in the body',
	version: '1.0.0',
	input: z.object({ email: z.string().optional(), name: z.string().optional() }).refine((i) => Boolean(i.email) !== Boolean(i.name), 'Exactly one of email and name'),
	output: z.array(z.object({ id: z.string(), label: z.string(), age_days: z.number() })),
	exec: async (nango, input) => {
		const out: { id: string; label: string; age_days: number }[] = [];
		let cursor: string | undefined;
		let guard = 0;
		do {
			const response = await nango.post({ endpoint: '/candidate.list', data: { ...input, limit: 100, cursor } });
			const envelope = Envelope(z.array(Candidate)).parse(response.data);
			if (!envelope.success) throw new nango.ActionError({ type: envelope.errorInfo?.code ?? 'unknown', message: envelope.errors?.join(', ') ?? 'failed', requestId: envelope.errorInfo?.requestId });
			for (const { id, name, primaryEmailAddress, tags, createdAt } of envelope.results ?? []) {
				out.push({ id, label: `${name}${primaryEmailAddress ? ` <${primaryEmailAddress.value}>` : ''}${tags.length ? ` [${tags.map((t) => t.title).join('|')}]` : ''}`, age_days: Math.trunc((Date.UTC(2024, 0, 31) - Date.parse(createdAt)) / 8.64e7) });
			}
			cursor = envelope.moreDataAvailable ? envelope.nextCursor : undefined;
		} while (cursor !== undefined && guard++ < 20);
		return out;
	}
});
