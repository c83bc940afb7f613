import { createSync } from 'nango';
import { z } from 'zod';

const DealSchema = z.object({ id: z.string(), title: z.string(), value: z.number(), currency: z.string(), status: z.enum(['open', 'won', 'lost', 'deleted']), stage: z.string(), person: z.string().optional(), updated: z.string() });
const ProviderDeal = z.object({ id: z.number(), title: z.string(), value: z.union([z.number(), z.string()]).transform(Number).catch(0), currency: z.string().default('EUR'), status: z.string(), stage_id: z.coerce.string(), person_id: z.object({ name: z.string(), value: z.number() }).nullable(), update_time: z.string() });
const Metadata = z.object({ pipelineIds: z.array(z.number()).optional(), onlyOpen: z.boolean().optional() });

export default createSync({
	description: 'Deals of the pipelines that metadata names',
	version: '3.1.0',
	frequency: 'every day',
	autoStart: false,
	metadata: Metadata,
	models: { Deal: DealSchema },
	exec: async (nango) => {
		const metadata = Metadata.parse((await nango.getMetadata()) ?? {});
		const pipelines: (number | undefined)[] = metadata.pipelineIds?.length ? metadata.pipelineIds : [undefined];
		await nango.trackDeletesStart('Deal');
		for (const pipeline_id of pipelines) {
			let start = 0;
			let more = true;
			while (more) {
				const { data: body } = await nango.get({ endpoint: '/v1/deals', params: { start: `${start}`, limit: '2', ...(pipeline_id !== undefined && { pipeline_id }), ...(metadata.onlyOpen ? { status: 'open' } : {}) }, retries: 3 });
				const rows = z.array(ProviderDeal).parse(body.data ?? []);
				await nango.batchSave(
					rows.map((deal) => ({
						id: `${deal.id}`,
						title: deal.title.replace(/\s+/g, ' ').trim(),
						value: deal.value,
						currency: deal.currency,
						status: DealSchema.shape.status.catch('open').parse(deal.status),
						stage: deal.stage_id,
						...(deal.person_id && { person: deal.person_id.name }),
						updated: new Date(`${deal.update_time.replace(' ', 'T')}Z`).toISOString()
					})),
					'Deal'
				);
				more = body.additional_data?.pagination?.more_items_in_collection === true;
				start = body.additional_data?.pagination?.next_start ?? start + rows.length;
			}
		}
		const { deletedKeys } = await nango.trackDeletesEnd('Deal');
		await nango.log(`deleted ${deletedKeys.length}`, { level: 'error' });
	}
});
