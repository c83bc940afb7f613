import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Reads the integration, the webhook URL and the environment',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const integration: any = await nango.getIntegration();
		const hook = await nango.getWebhookURL();
		const variables = await nango.getEnvironmentVariables();
		return { key: integration.unique_key, provider: integration.provider, keys: Object.keys(integration).sort(), hook: hook ?? null, variables };
	}
});
