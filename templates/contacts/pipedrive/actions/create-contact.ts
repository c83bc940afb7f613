import { createAction } from 'nango';
import * as z from 'zod';

import { Contact, NewContact } from '../../contact.js';
import { Person, fromContact, toContact } from '../mapper.js';

const action = createAction({
	description: 'Creates a person in Pipedrive.',
	version: '1.0.0',
	input: NewContact,
	output: Contact,
	exec: async (nango, input) => {
		const { data } = await nango.post({ endpoint: '/v2/persons', data: fromContact(input) });
		return toContact(z.object({ data: Person }).parse(data).data);
	}
});

export default action;
