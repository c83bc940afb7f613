import { createOnEvent } from 'nango';

export default createOnEvent({
	description: 'Checks',
	event: 'validate-connection',
	exec: async (nango) => {
		await nango.log('check');
	}
});
