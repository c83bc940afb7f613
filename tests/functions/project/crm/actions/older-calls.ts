import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'getFieldMapping, getFlowAttributes, triggerSync and startSync of what is not there',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const any = nango as any;
		const out: Record<string, unknown> = {};
		const attempt = async (name: string, work: () => unknown) => {
			try {
				out[name] = (await work()) ?? null;
			} catch (error: any) {
				out[name] = [error instanceof Error, error.name];
			}
		};
		await attempt('fieldMapping', async () => nango.getFieldMapping());
		await attempt('attributes', () => nango.getFlowAttributes());
		await attempt('metadata', async () => (await nango.setFieldMapping({ x: 'y' })).status);
		await attempt('after', async () => nango.getFieldMapping());
		await attempt('private', () => any.memoizedConnections);
		await attempt('write', () => {
			any.providerConfigKey = 'other';
			return any.providerConfigKey;
		});
		out.prototype = Object.getPrototypeOf(nango);
		out.bound = await Promise.all([nango.getMetadata].map(async (get) => Object.keys(((await get()) as any) ?? {}).sort()));
		return out;
	}
});
