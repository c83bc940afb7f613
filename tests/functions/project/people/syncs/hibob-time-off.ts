import { createSync } from 'nango';
import { z } from 'zod';

const TimeOff = z.object({ id: z.string(), employee: z.string(), from: z.string(), to: z.string(), days: z.number(), policy: z.string() });

export default createSync({
	description: 'Time off month by month, ids made of fields',
	version: '1.0.0',
	frequency: 'every day',
	autoStart: true,
	metadata: z.object({ start: z.string(), months: z.number() }),
	models: { TimeOff },
	exec: async (nango) => {
		const { start, months } = await nango.getMetadata();
		const first = new Date(start);
		const windows = Array.from({ length: months }, (_, i) => [Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + i, 1), Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + i + 1, 0)].map((ms) => new Date(ms).toISOString().split('T')[0]!));
		for (const [from, to] of windows) {
			const { data, status } = await nango.get<any>({ endpoint: '/v1/timeoff/whosout', params: { from: from!, to: to! } });
			if (status === 204 || !data?.outs) continue;
			const records = data.outs.map((out: any): z.infer<typeof TimeOff> => ({ id: [out.employeeId, out.startDate, out.endDate, out.requestId ?? ''].join(':'), employee: out.employeeDisplayName, from: out.startDate, to: out.endDate, days: (new Date(out.endDate).getTime() - new Date(out.startDate).getTime()) / 864e5 + (out.startPortion === 'all_day' ? 1 : 0.5), policy: out.policyTypeDisplayName ?? '?' }));
			await nango.batchSave(records, 'TimeOff');
		}
	}
});
