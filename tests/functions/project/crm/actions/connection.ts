import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'Reads the connection and the token',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const connection = await nango.getConnection();
		const again = await nango.getConnection(nango.providerConfigKey, nango.connectionId);
		const token: any = await nango.getToken();
		return {
			id: connection.connection_id === nango.connectionId,
			key: connection.provider_config_key,
			provider: connection.provider,
			type: connection.credentials['type'],
			credentials: connection.credentials,
			config: connection.connection_config,
			metadata: connection.metadata,
			same: again.id === connection.id,
			token
		};
	}
});
