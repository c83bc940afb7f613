import { createAction } from 'nango';

import { Contact, NewContact } from '../../contact.js';
import { HubSpotContact, fromContact, toContact } from '../mapper.js';

const action = createAction({
	description: 'Creates a contact in HubSpot.',
	version: '1.0.0',
	input: NewContact,
	output: Contact,
	exec: async (nango, input) => {
		const { data } = await nango.post({ endpoint: '/crm/v3/objects/contacts', data: fromContact(input) });
		return toContact(HubSpotContact.parse(data));
	}
});

export default action;
