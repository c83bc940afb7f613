import { createHash } from 'crypto';
import { createAction } from 'nango';
import { z } from 'zod';

export default createAction({
	description: 'Add or change a member of a list, tags after it',
	version: '1.0.0',
	input: z.object({ list: z.string(), email: z.string(), status: z.enum(['subscribed', 'pending', 'unsubscribed']).optional(), fields: z.record(z.string(), z.unknown()).optional(), tags: z.record(z.string(), z.boolean()).optional() }),
	output: z.any(),
	exec: async (nango, { list, email, status = 'pending', fields: merge_fields, tags }) => {
		const hash = createHash('md5').update(email.trim().toLowerCase()).digest('hex');
		const member = `/3.0/lists/${list}/members/${hash}`;
		const { data } = await nango.put({ endpoint: member, params: { skip_merge_validation: 'true' }, data: { email_address: email, status_if_new: status, merge_fields } });
		const changes = Object.entries(tags ?? {}).map(([name, on]) => ({ name, status: on ? 'active' : 'inactive' }));
		const tagged = changes.length > 0 ? await nango.post({ endpoint: `${member}/tags`, data: { tags: changes, is_syncing: false } }) : null;
		return { id: data.id, unique: data.unique_email_id ?? undefined, status: data.status, tagged: tagged?.status, vip: data.vip ?? null };
	}
});
