import { createOnEvent } from 'nango';
import * as z from 'zod';

export default createOnEvent({
	description: 'Notes in the metadata that the connection was seen.',
	event: 'post-connection-creation',
	metadata: z.object({ welcome: z.boolean() }),
	exec: async (nango) => {
		await nango.updateMetadata({ welcome: true });
	}
});
