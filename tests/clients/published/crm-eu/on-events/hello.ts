import { createOnEvent } from 'nango';

export default createOnEvent({
	description: 'Greets',
	event: 'post-connection-creation',
	exec: async (nango) => {
		await nango.log('hello');
	}
});
