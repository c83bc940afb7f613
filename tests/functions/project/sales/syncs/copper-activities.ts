import { createSync } from 'nango';
import { z } from 'zod';

const Activity = z.object({ id: z.string(), kind: z.string(), at: z.string(), details: z.string().optional(), day: z.string(), week: z.number() });

function weekOf(date: Date): number {
	const copy = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()));
	copy.setUTCDate(copy.getUTCDate() + 4 - (copy.getUTCDay() || 7));
	return Math.ceil(((copy.getTime() - Date.UTC(copy.getUTCFullYear(), 0, 1)) / 86_400_000 + 1) / 7);
}

export default createSync({
	description: 'Activities by POST search, pages by number in the body',
	version: '1.0.0',
	frequency: 'every 15 minutes',
	autoStart: true,
	models: { Activity },
	checkpoint: z.object({ minimum: z.number() }),
	exec: async (nango) => {
		const minimum = (await nango.getCheckpoint())?.minimum ?? 0;
		let newest = minimum;
		for await (const page of nango.paginate<any>({
			method: 'POST',
			endpoint: '/developer_api/v1/activities/search',
			data: { minimum_activity_date: minimum, sort_direction: 'asc' },
			paginate: { type: 'offset', offset_name_in_request: 'page_number', offset_start_value: 1, offset_calculation_method: 'per-page', limit_name_in_request: 'page_size', limit: 2 }
		})) {
			await nango.batchSave(
				page.map((raw) => {
					const at = new Date(raw.activity_date * 1000);
					newest = Math.max(newest, raw.activity_date);
					return { id: String(raw.id), kind: raw.type?.category ?? 'note', at: at.toISOString(), ...(raw.details && { details: raw.details }), day: at.toLocaleDateString('en-US', { weekday: 'long', timeZone: 'UTC' }), week: weekOf(at) };
				}),
				'Activity'
			);
		}
		await nango.saveCheckpoint({ minimum: newest });
	}
});
