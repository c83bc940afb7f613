// The one model of contacts, whatever the provider.  An app reads and writes it by the same names everywhere.
import * as z from 'zod';

export const Contact = z.object({
	id: z.string(),
	name: z.string(),
	firstName: z.string().nullable(),
	lastName: z.string().nullable(),
	email: z.string().nullable(),
	phone: z.string().nullable(),
	createdAt: z.string(),
	updatedAt: z.string(),
	source: z.enum(['hubspot', 'pipedrive'])
});
export type Contact = z.infer<typeof Contact>;

export const NewContact = z.object({
	firstName: z.string().min(1),
	lastName: z.string().optional(),
	email: z.string().optional(),
	phone: z.string().optional()
});
export type NewContact = z.infer<typeof NewContact>;

export const fullName = (...parts: (string | null | undefined)[]): string => parts.filter((part) => part).join(' ');
