import type { NangoSync, ProxyConfiguration } from 'nango';

export type SalesforceRow = Record<string, unknown>;

export function toIso(value: unknown): string {
	if (typeof value !== 'string') throw new TypeError(`no date: ${JSON.stringify(value)}`);
	return new Date(value).toISOString();
}

const condition = (since?: string) => (since ? ` WHERE LastModifiedDate > ${since}` : '');

export async function* selectAll(nango: Pick<NangoSync, 'paginate'>, object: string, fields: string[], since?: string): AsyncGenerator<SalesforceRow[]> {
	const config: ProxyConfiguration = {
		endpoint: '/services/data/v60.0/query',
		params: { q: `SELECT ${fields.join(',')} FROM ${object}${condition(since)} ORDER BY LastModifiedDate ASC` },
		paginate: { type: 'link', link_path_in_response_body: 'nextRecordsUrl', response_path: 'records' },
		retries: 3
	};
	yield* nango.paginate<SalesforceRow>(config);
}
