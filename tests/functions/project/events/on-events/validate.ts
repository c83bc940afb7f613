import { createOnEvent } from 'nango';
import * as z from 'zod';

export default createOnEvent({
	description: 'Refuses connections whose metadata say so',
	event: 'validate-connection',
	exec: async (nango) => {
		const metadata: any = await nango.getMetadata();
		const { data } = await nango.get<any>({ endpoint: '/check', params: { plan: metadata?.plan ?? 'none' } });
		if (!data.ok) throw new nango.ActionError({ message: 'the plan has no API', plan: metadata?.plan ?? null });
	}
});
