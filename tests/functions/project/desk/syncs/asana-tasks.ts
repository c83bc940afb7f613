import { createSync } from 'nango';
import { z } from 'zod';

const TaskModel = z.object({ id: z.string(), name: z.string(), done: z.boolean(), due: z.string().nullable(), project: z.string(), tags: z.array(z.string()), overdue_days: z.number().optional() });
const DAY = 24 * 60 * 60 * 1000;

export default createSync({
	description: 'Tasks of all projects, several projects at a time',
	version: '1.0.0',
	frequency: 'every 2 hours',
	autoStart: true,
	models: { Task: TaskModel },
	exec: async (nango) => {
		const projects: string[] = [];
		for await (const page of nango.paginate<{ gid: string; archived: boolean }>({ endpoint: '/api/1.0/projects', params: { opt_fields: 'gid,archived' }, paginate: { type: 'cursor', cursor_path_in_response: 'next_page.offset', cursor_name_in_request: 'offset', limit_name_in_request: 'limit', limit: 2, response_path: 'data' } })) {
			projects.push(...page.filter(({ archived }) => !archived).map(({ gid }) => gid));
		}
		const now = Date.UTC(2024, 5, 15, 12);
		for (let i = 0; i < projects.length; i += 2) {
			const lists = await Promise.all(
				projects.slice(i, i + 2).map(async (project) => {
					const { data } = await nango.get<any>({ endpoint: '/api/1.0/tasks', params: { project, opt_fields: 'name,completed,due_on,tags.name' } });
					return (data.data as any[]).map((task): z.infer<typeof TaskModel> => {
						const due = task.due_on ? new Date(`${task.due_on}T00:00:00.000Z`) : null;
						const days = due ? Math.floor((now - due.valueOf()) / DAY) : 0;
						return { id: task.gid, name: task.name, done: task.completed, due: due?.toISOString().slice(0, 10) ?? null, project, tags: task.tags.map((t: any) => t.name).toSorted(), ...(days > 0 && !task.completed && { overdue_days: days }) };
					});
				})
			);
			await nango.batchSave(lists.flat(), 'Task');
		}
	}
});
