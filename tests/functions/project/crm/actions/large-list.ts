import { createAction } from 'nango';
import * as z from 'zod';

interface Row {
	id: number;
	name: string;
	owner: { id: number; email: string } | null;
	updated_at: string;
}

export default createAction({
	description: 'Maps, joins and counts a long list',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const { data: rows } = await nango.get<Row[]>({ endpoint: '/rows' });
		const owners = new Map<number, { email: string; rows: number }>();
		for (const { owner } of rows) {
			if (!owner) continue;
			const known = owners.get(owner.id) ?? { email: owner.email, rows: 0 };
			known.rows++;
			owners.set(owner.id, known);
		}
		const latest = rows.reduce((best, row) => (new Date(row.updated_at) > new Date(best.updated_at) ? row : best));
		return {
			count: rows.length,
			latest: latest.id,
			owners: [...owners].sort(([, a], [, b]) => b.rows - a.rows || a.email.localeCompare(b.email)).slice(0, 5),
			byName: rows.map((row) => row.name).sort((a, b) => a.localeCompare(b)).slice(0, 10),
			orphans: rows.filter((row) => row.owner === null).length
		};
	}
});
