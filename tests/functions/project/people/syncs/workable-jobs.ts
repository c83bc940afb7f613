import { createSync } from 'nango';
import type { NangoSync, ProxyConfiguration } from 'nango';
import { z } from 'zod';

const Job = z.object({ id: z.string(), title: z.string(), state: z.string(), location: z.string(), candidates: z.number() });
type Local = Pick<NangoSync, 'paginate' | 'get' | 'log'>;

abstract class Fetcher<T> {
	constructor(protected readonly nango: Local) {}
	protected abstract config(): ProxyConfiguration;
	protected abstract one(raw: any): Promise<T>;
	async *[Symbol.asyncIterator](): AsyncGenerator<T[]> {
		for await (const page of this.nango.paginate<any>(this.config())) yield await Promise.all(page.map((raw) => this.one(raw)));
	}
}
class Jobs extends Fetcher<z.infer<typeof Job>> {
	static readonly states = ['published', 'closed'] as const;
	constructor(nango: Local, private readonly state: string) {
		super(nango);
	}
	protected config(): ProxyConfiguration {
		return { endpoint: '/spi/v3/jobs', params: { state: this.state, limit: '50' }, paginate: { type: 'link', link_path_in_response_body: 'paging.next', response_path: 'jobs' } };
	}
	protected async one(raw: any) {
		const { data } = await this.nango.get<any>({ endpoint: `/spi/v3/jobs/${raw.shortcode}/candidates`, params: { count_only: 'true' } });
		const { city, country_code: country } = raw.location ?? {};
		return { id: raw.shortcode, title: raw.full_title ?? raw.title, state: this.state.toUpperCase(), location: [city, country].filter(Boolean).join(', ') || 'Remote', candidates: data.count };
	}
}

export default createSync({
	description: 'Jobs by a class that is an async iterable',
	version: '1.0.0',
	frequency: 'every 3 hours',
	autoStart: true,
	models: { Job },
	exec: async (nango) => {
		await nango.trackDeletesStart('Job');
		for (const state of Jobs.states) for await (const jobs of new Jobs(nango as unknown as Local, state)) await nango.batchSave(jobs, 'Job');
		await nango.trackDeletesEnd('Job');
	}
});
