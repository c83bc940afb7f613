import { createAction } from 'nango';
import type { NangoAction, ProxyConfiguration } from 'nango';
import { z } from 'zod';
import { Address, text } from '../../shared/index.js';

const Input = z.object({
	contactId: z.string().describe('Whom the note is about'),
	body: z.string().max(500),
	tags: z.array(z.string()).optional(),
	address: Address.nullable()
});

async function send(nango: NangoAction, body: string): Promise<string> {
	const config: ProxyConfiguration = { endpoint: '/notes', data: { body }, retries: 3 };
	const { data } = await nango.post<{ id: string }>(config);
	return data.id;
}

const action = createAction({
	description: 'Writes a note',
	version: '1.4.2',
	endpoint: { method: 'POST', path: '/notes', group: 'Notes' },
	scopes: ['notes.write', 'contacts.read'],
	input: Input,
	output: z.object({ id: z.string(), at: z.date() }),
	exec: async (nango, input) => {
		const id = await send(nango as unknown as NangoAction, text.shown(input.body, text.Case.Upper));
		return { id, at: new Date(0) };
	}
});

export type Module = typeof action;
export default action;
