import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Paginations with odd ends and places',
	input: z.object({ how: z.string() }),
	output: z.any(),
	exec: async (nango, { how }) => {
		const configs: Record<string, any> = {
			'cursor limit': { endpoint: '/c', params: { q: 'x' }, paginate: { type: 'cursor', cursor_path_in_response: 'next', cursor_name_in_request: 'after', limit: 2, limit_name_in_request: 'first', response_path: 'items' } },
			'cursor in query of post': { endpoint: '/c', method: 'POST', data: { q: 'x' }, paginate: { type: 'cursor', cursor_path_in_response: 'next', cursor_name_in_request: 'after', in_body: false, response_path: 'items' } },
			'cursor in body of get': { endpoint: '/c', data: { q: 'x' }, paginate: { type: 'cursor', cursor_path_in_response: 'next', cursor_name_in_request: 'page.after', in_body: true, response_path: 'items' } },
			'offset in body': { endpoint: '/o', method: 'POST', data: { q: { z: 1 } }, paginate: { type: 'offset', offset_name_in_request: 'page.offset', offset_start_value: 10, limit: 2, limit_name_in_request: 'page.limit', response_path: 'items' } },
			'offset per page': { endpoint: '/o', paginate: { type: 'offset', offset_name_in_request: 'p', offset_start_value: 1, offset_calculation_method: 'per-page', response_path: 'items' } },
			'offset text limit': { endpoint: '/o', paginate: { type: 'offset', offset_name_in_request: 'p', limit: '2', limit_name_in_request: 'n', response_path: 'items' } },
			'link body absolute': { endpoint: '/l', params: { a: '1' }, headers: { 'x-kept': 'yes' }, paginate: { type: 'link', link_path_in_response_body: 'links.next', response_path: 'items', limit: 5, limit_name_in_request: 'size' } },
			'link both': { endpoint: '/l', paginate: { type: 'link', link_rel_in_response_header: 'next', link_path_in_response_body: 'links.next', response_path: 'items' } },
			'no items': { endpoint: '/c', paginate: { type: 'cursor', cursor_path_in_response: 'next', cursor_name_in_request: 'after', response_path: 'deep.er.items' } },
			'not a list': { endpoint: '/c', paginate: { type: 'cursor', cursor_path_in_response: 'next', cursor_name_in_request: 'after', response_path: 'text' } }
		};
		const config = configs[how];
		const pages: any[] = [];
		const seen: any[] = [];
		config.paginate.on_page = async ({ nextPageParam, response }: any) => void seen.push([nextPageParam ?? null, response.status]);
		for await (const page of nango.paginate<any>(config)) {
			pages.push(page);
			if (pages.length === 5) break;
		}
		return { pages, seen };
	}
});
