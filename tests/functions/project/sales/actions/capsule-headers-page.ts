import { createAction } from 'nango';
import { z } from 'zod';

/** Reads `<url>; rel="next"` out of a header. */
const parseLinks = (header: string | undefined): Record<string, string> => {
	const links: Record<string, string> = {};
	if (!header) return links;
	for (const part of header.split(/,\s*(?=<)/)) {
		const match = part.match(/<([^>]+)>;\s*rel="?([^";]+)"?/);
		if (match?.[1] && match[2]) links[match[2]] = match[1];
	}
	return links;
};

export default createAction({
	description: 'Parties, pages by link header read by hand',
	version: '1.0.0',
	input: z.object({ perPage: z.number().default(2) }),
	output: z.any(),
	exec: async (nango, input) => {
		const names: string[] = [];
		const seen: unknown[] = [];
		let params: Record<string, string> | undefined = { page: '1', perPage: String(input.perPage ?? 2), embed: 'tags,fields' };
		while (params) {
			const response: any = await nango.get({ endpoint: '/api/v2/parties', params, retries: 3 });
			names.push(...response.data.parties.map((p: any) => p.name ?? `${p.firstName} ${p.lastName}`));
			const remaining = parseInt(response.headers['x-ratelimit-remaining'], 10);
			seen.push({ remaining: Number.isNaN(remaining) ? 'unknown' : remaining, reset: new Date(Number(response.headers['x-ratelimit-reset'] ?? 0)).toISOString() });
			const next: string | undefined = parseLinks(response.headers.link ?? response.headers['Link'])['next'];
			params = next ? Object.fromEntries(new URL(next).searchParams.entries()) : undefined;
		}
		return { names, seen };
	}
});
