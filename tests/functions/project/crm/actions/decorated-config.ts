import { createAction } from 'nango';
import * as z from 'zod';

namespace Limits {
	export const page = 50;
	export const name = 'limits';
}
const config = { retries: 1, headers: { 'x-version': '2' }, endpoint: '/configured' } as const satisfies Record<string, unknown>;
const overloads: { (value: string): string; (value: number): number } = ((value: any) => (typeof value === 'string' ? value.toUpperCase() : value + 1)) as any;

export default createAction({
	description: 'TypeScript: namespaces, satisfies, overloads, assertions',
	version: '2.1.0',
	endpoint: { method: 'POST', path: '/decorated', group: 'Odd' },
	scopes: ['read'],
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const { data } = await nango.get<{ list?: string[] }>({ ...config, params: { limit: Limits.page } });
		const first = data.list![0] as string;
		const isString = (value: unknown): value is string => typeof value === 'string';
		return { first, name: Limits.name, over: [overloads('a'), overloads(1)], strings: [1, 'a', null].filter(isString), opt: data.list?.at?.(-1) };
	}
});
