import { createAction } from 'nango';
import { z } from 'zod';

const User = z.object({ firstName: z.string(), lastName: z.string(), email: z.string(), login: z.string().optional(), mobilePhone: z.string().nullable().optional() });

export default createAction({
	description: 'Create a user; errors of fields become messages',
	version: '1.0.0',
	input: User,
	output: z.object({ id: z.string(), status: z.string(), created: z.string(), firstName: z.string(), lastName: z.string(), email: z.string() }),
	exec: async (nango, input) => {
		const parsedInput = User.safeParse(input);
		if (!parsedInput.success) {
			for (const error of parsedInput.error.issues) await nango.log(`Invalid input provided to create a user: ${error.message} at path ${error.path.join('.')}`, { level: 'error' });
			throw new nango.ActionError({ message: 'Invalid input provided to create a user' });
		}
		const profile = { ...parsedInput.data, login: parsedInput.data.login || parsedInput.data.email };
		try {
			const { data } = await nango.post({ endpoint: '/api/v1/users', params: { activate: 'true' }, data: { profile }, retries: 3 });
			const { firstName, lastName, email } = data.profile;
			return { id: data.id, status: data.status, created: data.created, firstName, lastName, email };
		} catch (e) {
			const causes: { errorSummary: string }[] = (e as any)?.response?.data?.errorCauses ?? [];
			if (causes.length) throw new nango.ActionError({ message: causes.map(({ errorSummary }) => errorSummary).join(' | '), errorId: (e as any).response.data.errorId, etag: (e as any).response.headers.etag });
			throw e;
		}
	}
});
