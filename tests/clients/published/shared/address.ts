import * as z from 'zod';

export interface Line {
	street: string;
}

export const Address = z.object({
	street: z.string().min(1),
	zip: z.string().regex(/^\d{5}$/).optional(),
	country: z.enum(['de', 'fr']).default('de')
});
