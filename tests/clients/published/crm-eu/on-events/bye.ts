import { createOnEvent } from 'nango';

export default createOnEvent({
	description: 'Leaves',
	event: 'pre-connection-deletion',
	exec: async (nango) => {
		await nango.log('bye');
	}
});
