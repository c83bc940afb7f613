import { createSync } from 'nango';
import { z } from 'zod';

const ConversationModel = z.object({ id: z.string(), subject: z.string(), state: z.string(), assignees: z.array(z.string()), updated: z.number() });
const PartModel = z.object({ id: z.string(), conversation_id: z.string(), author_type: z.string(), body: z.string().nullable() });

export default createSync({
	description: 'Two models of one listing, stops at what it knows',
	version: '1.0.0',
	frequency: 'every 10 minutes',
	autoStart: true,
	checkpoint: z.object({ updated: z.number() }),
	models: { Conversation: ConversationModel, Part: PartModel },
	exec: async (nango) => {
		const checkpoint = await nango.getCheckpoint();
		const known = checkpoint?.updated ?? 0;
		let highest = known;
		let startingAfter: string | undefined;
		let finished = false;
		while (!finished) {
			const response = await nango.get<any>({ endpoint: '/conversations', params: { per_page: '150', ...(startingAfter && { starting_after: startingAfter }) }, headers: { 'Intercom-Version': '2.9' }, retries: 10 });
			const fresh = response.data.conversations.filter((c: any) => c.updated_at > known);
			finished = fresh.length < response.data.conversations.length || !response.data.pages?.next;
			startingAfter = response.data.pages?.next?.starting_after;
			const parts: z.infer<typeof PartModel>[] = [];
			const conversations: z.infer<typeof ConversationModel>[] = await Promise.all(
				fresh.map(async (c: any) => {
					const { data } = await nango.get<any>({ endpoint: `/conversations/${c.id}`, params: { display_as: 'plaintext' } });
					highest = Math.max(highest, c.updated_at);
					for (const part of data.conversation_parts?.conversation_parts ?? []) parts.push({ id: String(part.id), conversation_id: c.id, author_type: part.author?.type ?? 'bot', body: part.body ?? null });
					return { id: c.id, subject: c.source?.subject || data.title || '', state: c.state, assignees: Object.values<any>(data.teammates ?? {}).flat().map((t) => t.id).filter((id, i, list) => list.indexOf(id) === i), updated: c.updated_at };
				})
			);
			await nango.batchSave(conversations, 'Conversation');
			await nango.batchSave(parts.sort((a, b) => a.id.localeCompare(b.id)), 'Part');
		}
		await nango.saveCheckpoint({ updated: highest });
	}
});
