import * as z from 'zod';

import { type Contact, type NewContact, fullName } from '../contact.js';

const Entry = z.object({ value: z.string(), primary: z.boolean().optional() });
export const Person = z.object({
	id: z.number(),
	name: z.string().nullish(),
	first_name: z.string().nullish(),
	last_name: z.string().nullish(),
	emails: z.array(Entry).nullish(),
	phones: z.array(Entry).nullish(),
	add_time: z.string(),
	update_time: z.string().nullish()
});

// The one that is marked, or the first; Pipedrive keeps an empty one where there is none.
function main(entries: z.infer<typeof Entry>[] | null | undefined): string | null {
	const used = (entries ?? []).filter((entry) => entry.value !== '');
	return (used.find((entry) => entry.primary) ?? used[0])?.value ?? null;
}

export function toContact(person: z.infer<typeof Person>): Contact {
	return {
		id: String(person.id),
		name: person.name || fullName(person.first_name, person.last_name),
		firstName: person.first_name || null,
		lastName: person.last_name || null,
		email: main(person.emails),
		phone: main(person.phones),
		createdAt: person.add_time,
		updatedAt: person.update_time ?? person.add_time,
		source: 'pipedrive'
	};
}

export function fromContact({ firstName, lastName, email, phone }: NewContact) {
	const entry = (value: string | undefined) => (value ? [{ value, primary: true, label: 'work' }] : undefined);
	return { name: fullName(firstName, lastName), emails: entry(email), phones: entry(phone) };
}
