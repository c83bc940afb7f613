import { createSync } from 'nango';
import * as z from 'zod';

const User = z.object({ id: z.string(), email: z.string(), roles: z.array(z.string()) });

export default createSync({
	description: 'Users by offset; archived ones are deleted',
	frequency: 'every 30 minutes',
	autoStart: false,
	syncType: 'incremental',
	models: { User },
	exec: async (nango) => {
		const config = { endpoint: '/users', params: { expand: 'roles' }, paginate: { type: 'offset' as const, offset_name_in_request: 'start', offset_start_value: 1, offset_calculation_method: 'per-page' as const, limit: 2, limit_name_in_request: 'max', response_path: 'result.users' } };
		for await (const page of nango.paginate<any>(config as any)) {
			const [live, gone] = page.reduce<[any[], any[]]>(([a, b], user) => (user.archived ? [a, [...b, user]] : [[...a, user], b]), [[], []]);
			await nango.batchSave(live.map(({ id, email, roles }) => ({ id: String(id), email: email.toLowerCase(), roles: [...new Set<string>(roles)].sort() })), 'User');
			await nango.batchDelete(gone.map(({ id }) => ({ id: String(id) })), 'User');
		}
	}
});
