import { createSync } from 'nango';
import { z } from 'zod';

const Mail = z.object({ id: z.string(), subject: z.string(), from: z.string(), received: z.string(), preview: z.string(), attachments: z.array(z.object({ name: z.string(), kind: z.string(), bytes: z.number() })) });
const BACKFILL_MS = 30 * 24 * 60 * 60 * 1000;

export default createSync({
	description: 'Mails with attachments, since a month by default',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	metadata: z.object({ now: z.string(), backfillPeriodMs: z.number().optional() }),
	checkpoint: z.object({ received: z.string() }),
	models: { Mail },
	exec: async (nango) => {
		const { now, backfillPeriodMs = BACKFILL_MS } = await nango.getMetadata();
		const checkpoint = await nango.getCheckpoint();
		const since = checkpoint ? new Date(checkpoint.received) : new Date(Date.parse(now) - backfillPeriodMs);
		let last = since;
		for await (const messages of nango.paginate<any>({
			endpoint: '/v1.0/me/messages',
			params: { $filter: `receivedDateTime ge ${since.toISOString()}`, $select: 'id,from,subject,receivedDateTime,bodyPreview,hasAttachments', $orderby: 'receivedDateTime asc' },
			headers: { Prefer: 'outlook.body-content-type="text"' },
			paginate: { type: 'link', response_path: 'value', link_path_in_response_body: '@odata.nextLink', limit_name_in_request: '$top', limit: 100 },
			retries: 10
		})) {
			const mails: z.infer<typeof Mail>[] = [];
			for (const message of messages) {
				const attachments = [];
				if (message.hasAttachments) {
					const { data } = await nango.get({ endpoint: `/v1.0/me/messages/${message.id}/attachments` });
					for (const { '@odata.type': type, name, contentBytes, size } of data.value) attachments.push({ name, kind: type.split('.').pop()!, bytes: contentBytes ? Buffer.from(contentBytes, 'base64').length : size });
				}
				const received = new Date(message.receivedDateTime);
				if (received > last) last = received;
				const { name, address } = message.from?.emailAddress ?? { name: 'nobody', address: '' };
				mails.push({ id: message.id, subject: message.subject || '(none)', from: `${name} <${address}>`, received: received.toJSON(), preview: message.bodyPreview.split(/\r?\n/).map((l: string) => l.trim()).filter(Boolean).join(' / '), attachments });
			}
			await nango.batchSave(mails, 'Mail');
		}
		await nango.saveCheckpoint({ received: last.toISOString() });
	}
});
