import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'What the nango object shows',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const { get, log } = nango;
		await log('methods are bound', { level: 'error' });
		const { data } = await get({ endpoint: '/bound' });
		return {
			data,
			keys: Object.keys(nango).sort(),
			prototype: Object.getPrototypeOf(nango),
			provider: nango.provider,
			key: nango.providerConfigKey,
			type: nango.scriptType,
			isCLI: nango.isCLI,
			env: nango.environmentName,
			level: nango.logger.level,
			methods: ['paginate', 'proxy', 'tryAcquireLock', 'getCheckpoint', 'zodValidateInput', 'uncontrolledFetch', 'triggerAction'].map((name) => typeof (nango as any)[name])
		};
	}
});
