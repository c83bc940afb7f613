import { createAction } from 'nango';
import * as z from 'zod';

import { mapped } from '../lib/http.js';

export default createAction({
	description: 'Maps errors of the provider to its own',
	input: z.object({ path: z.string(), base: z.string().optional() }),
	output: z.any(),
	exec: async (nango, input) => mapped(nango, async () => (await nango.get({ endpoint: input.path, baseUrlOverride: input.base! })).data)
});
