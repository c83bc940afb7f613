import { createAction } from 'nango';
import { z } from 'zod';

const Pipeline = z.object({ id: z.number(), status: z.string(), created_at: z.iso.datetime({ offset: true }), updated_at: z.iso.datetime({ offset: true }).nullable(), ref: z.string() });
const duration = (ms: number) => [[864e5, 'd'], [36e5, 'h'], [6e4, 'min'], [1e3, 's']].reduce<[string[], number]>(([out, left], [unit, name]) => [left >= Number(unit) ? [...out, `${Math.floor(left / Number(unit))} ${name}`] : out, left % Number(unit)], [[], ms])[0].join(' ') || '0 s';

export default createAction({
	description: 'Pages by the x-next-page header',
	version: '1.0.0',
	input: z.object({ project: z.string() }),
	output: z.any(),
	exec: async (nango, { project }) => {
		const all: z.infer<typeof Pipeline>[] = [];
		for (let page = '1'; page; ) {
			const { data, headers } = await nango.get({ endpoint: `/api/v4/projects/${encodeURIComponent(project)}/pipelines`, params: { page, per_page: 2 } });
			all.push(...Pipeline.array().parse(data));
			page = headers['x-next-page'];
		}
		const byRef = new Map<string, typeof all>();
		for (const p of all) byRef.set(p.ref, [...(byRef.get(p.ref) ?? []), p]);
		return [...byRef].map(([ref, list]) => ({ ref, success: `${Math.round((list.filter((p) => p.status === 'success').length / list.length) * 100)}%`, longest: duration(Math.max(...list.map((p) => (p.updated_at ? Date.parse(p.updated_at) - Date.parse(p.created_at) : 0)))) }));
	}
});
