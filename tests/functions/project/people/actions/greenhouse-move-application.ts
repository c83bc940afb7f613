import { createAction } from 'nango';
import { z } from 'zod';

const Stage = z.object({ id: z.number(), name: z.string(), priority: z.number() });
enum Direction {
	Back = -1,
	Forward = 1
}

export default createAction({
	description: 'Move an application one stage',
	version: '1.0.0',
	input: z.object({ application_id: z.number(), direction: z.enum(Direction), on_behalf_of: z.coerce.number() }),
	output: z.object({ from: z.string(), to: z.string(), direction: z.string() }),
	exec: async (nango, input) => {
		const { data: application } = await nango.get({ endpoint: `/v1/applications/${input.application_id}`, retries: 3 });
		if (application.status !== 'active') throw new nango.ActionError({ type: 'not_active', message: `application is ${application.status ?? 'unknown'}`, application: { id: application.id, rejected_at: application.rejected_at } });
		const { data } = await nango.get({ endpoint: `/v1/jobs/${application.jobs[0].id}/stages` });
		const stages = z.array(Stage).min(1).parse(data).sort((a, b) => a.priority - b.priority);
		const at = stages.findIndex(({ id }) => id === application.current_stage?.id);
		const next = stages[at + input.direction];
		if (at === -1 || !next) throw new nango.ActionError({ type: 'no_stage', message: `no stage ${Direction[input.direction]!.toLowerCase()} of ${at}`, stages: stages.map((s) => s.name) });
		await nango.post({ endpoint: `/v1/applications/${input.application_id}/advance`, data: { from_stage_id: stages[at]!.id, to_stage_id: next.id }, headers: { 'On-Behalf-Of': String(input.on_behalf_of) } });
		return { from: stages[at]!.name, to: next.name, direction: Direction[input.direction]! };
	}
});
