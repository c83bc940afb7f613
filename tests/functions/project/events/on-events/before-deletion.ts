import { createOnEvent } from 'nango';
import * as z from 'zod';

export default createOnEvent({
	description: 'Takes the provider\'s hook away',
	event: 'pre-connection-deletion',
	exec: async (nango) => {
		const metadata: any = await nango.getMetadata();
		await nango.delete({ endpoint: `/hooks/${metadata?.hook ?? 'none'}`, data: { why: 'deleted' } });
		await nango.log('hook removed', { level: 'warn' });
	}
});
