import { createOnEvent } from 'nango';

export default createOnEvent({
	description: 'Asks the provider whether the key is good.',
	event: 'validate-connection',
	exec: async (nango) => {
		const connection = await nango.getConnection();
		if (!('apiKey' in connection.credentials) || connection.credentials.apiKey !== 'clients-api-key') {
			throw new nango.ActionError({ message: 'this key is not one of ours' });
		}
	}
});
