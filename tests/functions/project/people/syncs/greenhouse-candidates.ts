import { createSync } from 'nango';
import { z } from 'zod';
import format, { compact } from '../lib/format.js';

const Candidate = z.object({ id: z.string(), name: z.string(), company: z.string().optional(), updated: z.string(), emails: z.array(z.string()), jobs: z.array(z.string()) });

export default createSync({
	description: 'Candidates by link headers',
	version: '1.0.0',
	frequency: 'every hour',
	autoStart: true,
	checkpoint: z.object({ updated_after: z.string() }),
	models: { Candidate },
	exec: async (nango) => {
		const updated_after = (await nango.getCheckpoint())?.updated_after;
		let max = updated_after;
		for await (const page of nango.paginate<any>({ endpoint: '/v1/candidates', params: { ...(updated_after && { updated_after }), skip_count: 'true' }, paginate: { type: 'link', link_rel_in_response_header: 'next', limit_name_in_request: 'per_page', limit: 2 }, retries: 3 })) {
			const list = page.map((c) => {
				if (max === undefined || c.updated_at > max) max = c.updated_at;
				return compact({ id: `${c.id}`, name: format.fullName(c.first_name, c.last_name), company: c.company as string | null, updated: c.updated_at as string, emails: (c.email_addresses as { value: string; type: string }[]).sort((a, b) => Number(b.type === 'work') - Number(a.type === 'work')).map((e) => e.value), jobs: [...new Set<string>((c.applications ?? []).flatMap((a: any) => a.jobs.map((j: any) => j.name)))] });
			});
			if (list.length) await nango.batchSave(list as z.infer<typeof Candidate>[], 'Candidate');
			if (max) await nango.saveCheckpoint({ updated_after: max });
		}
	}
});
