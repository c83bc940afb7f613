import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Another action fails and nobody catches it',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => await nango.triggerAction(nango.providerConfigKey, nango.connectionId, 'action-error', { payload: { inner: true } })
});
