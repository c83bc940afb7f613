import * as z from 'zod';

import { type Contact, type NewContact, fullName } from '../contact.js';

// The properties that are asked for; HubSpot answers only a few of its own accord.
export const PROPERTIES = ['firstname', 'lastname', 'email', 'phone'];

const text = z.string().nullish();
export const HubSpotContact = z.object({
	id: z.string(),
	properties: z.object({ firstname: text, lastname: text, email: text, phone: text }),
	createdAt: z.string(),
	updatedAt: z.string()
});

export function toContact({ id, properties, createdAt, updatedAt }: z.infer<typeof HubSpotContact>): Contact {
	return {
		id,
		name: fullName(properties.firstname, properties.lastname),
		firstName: properties.firstname || null,
		lastName: properties.lastname || null,
		email: properties.email || null,
		phone: properties.phone || null,
		createdAt,
		updatedAt,
		source: 'hubspot'
	};
}

export function fromContact({ firstName, lastName, email, phone }: NewContact) {
	return { properties: { firstname: firstName, lastname: lastName, email, phone } };
}
