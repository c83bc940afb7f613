import type { NangoAction, NangoSync, ProxyConfiguration } from 'nango';

export enum Kind {
	Person = 'PERSON',
	Company = 'COMPANY'
}

type Host = NangoAction | NangoSync;

// A client of a provider as larger integrations write theirs.
export abstract class BaseClient {
	protected calls = 0;

	constructor(protected readonly nango: any) {}

	protected abstract get prefix(): string;

	protected async request<T>(config: Omit<ProxyConfiguration, 'endpoint'> & { path: string }): Promise<T> {
		const { path, ...rest } = config;
		this.calls++;
		const response = await this.nango.proxy({ method: 'GET', ...rest, endpoint: `${this.prefix}${path}` });
		return response.data as T;
	}

	get count(): number {
		return this.calls;
	}
}

export class PartyClient extends BaseClient {
	protected get prefix(): string {
		return '/v2/parties';
	}

	static for(nango: Host): PartyClient {
		return new this(nango);
	}

	async *pages(kind: Kind, size = 2): AsyncGenerator<any[], number, void> {
		let token: string | undefined;
		let page = 0;
		do {
			const { items, next } = await this.request<{ items: any[]; next?: string }>({ path: '/', params: { kind, size: String(size), ...(token && { token }) } });
			yield items;
			token = next;
		} while (token && ++page < 10);
		return this.count;
	}

	detail = async (id: string): Promise<any> => this.request({ path: `/${encodeURIComponent(id)}` });
}
