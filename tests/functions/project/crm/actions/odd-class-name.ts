import { createAction } from 'nango';
import * as z from 'zod';

class NotFound extends Error {
	readonly status = 404;
	constructor(what: string) {
		super(`no ${what}`);
		this.name = this.constructor.name;
	}
}

export default createAction({ description: 'An error that takes its name from its class', input: z.object({}), output: z.any(), exec: async () => {
	const error = new NotFound('contact');
	return [error.name, String(error)];
} });
