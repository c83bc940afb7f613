import { createSync } from 'nango';
import { z } from 'zod';

const Lead = z.object({ id: z.string(), email: z.string().optional(), score: z.number().nullable() });
const Envelope = z.object({ success: z.boolean(), requestId: z.string(), result: z.array(z.looseObject({ id: z.number() })).optional(), errors: z.array(z.object({ code: z.string(), message: z.string() })).optional(), nextPageToken: z.string().optional(), moreResult: z.boolean().optional() });

export default createSync({
	description: 'Errors come with status 200; ids in chunks',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: false,
	models: { Lead },
	exec: async (nango) => {
		let nextPageToken: string | undefined;
		do {
			const response = await nango.get({ endpoint: '/rest/v1/activities.json', params: { activityTypeIds: [1, 2].toString(), ...(nextPageToken && { nextPageToken }) } });
			const envelope = Envelope.parse(response.data);
			if (!envelope.success) {
				const [error] = envelope.errors ?? [];
				throw new Error(`Marketo ${error?.code ?? '?'}: ${error?.message ?? 'unknown'} (${envelope.requestId})`);
			}
			const ids = [...new Set((envelope.result ?? []).map((r) => r['leadId'] as number))];
			if (ids.length > 0) {
				const { data } = await nango.post({ endpoint: '/rest/v1/leads.json', params: { _method: 'GET' }, data: `filterType=id&filterValues=${ids.join(',')}&fields=email,leadScore`, headers: { 'Content-Type': 'application/x-www-form-urlencoded' } });
				await nango.batchSave(data.result.map((l: any) => ({ id: `${l.id}`, email: l.email ?? undefined, score: l.leadScore })), 'Lead');
			}
			nextPageToken = envelope.moreResult ? envelope.nextPageToken : undefined;
		} while (nextPageToken);
	}
});
