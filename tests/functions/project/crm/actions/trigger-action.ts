import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Calls another action',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => await nango.triggerAction(nango.providerConfigKey, nango.connectionId, 'noop', { from: 'another' })
});
