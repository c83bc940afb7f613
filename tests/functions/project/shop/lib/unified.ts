import * as z from 'zod';

export const Address = z.object({ line1: z.string().nullable(), city: z.string().nullable(), country: z.string().length(2).nullable() });
export const UnifiedInvoice = z.object({
	id: z.string(),
	number: z.string().nullable(),
	status: z.enum(['draft', 'open', 'paid', 'void', 'unknown']),
	total: z.number(),
	currency: z.string(),
	due_at: z.string().nullable(),
	address: Address.nullable(),
	lines: z.array(z.object({ sku: z.string().optional(), quantity: z.number(), amount: z.number() }))
});
export type UnifiedInvoice = z.infer<typeof UnifiedInvoice>;

const STATES: Record<string, UnifiedInvoice['status']> = { D: 'draft', SENT: 'open', PAID: 'paid', CANCELLED: 'void' };

export const cents = (value: unknown): number => {
	const text = String(value ?? '0').replace(/[^\d.,-]/g, '').replace(',', '.');
	return Math.round(Number.parseFloat(text) * 100) || 0;
};

export function day(value: unknown): string | null {
	if (value === null || value === undefined || value === '') return null;
	const at = typeof value === 'number' ? new Date(value * 1000) : new Date(String(value));
	return Number.isNaN(at.getTime()) ? null : at.toISOString().slice(0, 10);
}

export namespace Countries {
	const known = new Map([['czechia', 'CZ'], ['germany', 'DE'], ['österreich', 'AT']]);
	export const code = (name?: string | null): string | null => (name ? known.get(name.trim().toLowerCase()) ?? (name.length === 2 ? name.toUpperCase() : null) : null);
}

export function toInvoice(raw: any): UnifiedInvoice {
	const { invoice_id: id, no, state = 'D', customer: { address = null } = {} as any, rows = [], ...rest } = raw;
	return {
		id: `${id}`,
		number: no ?? null,
		status: STATES[String(state).toUpperCase()] ?? 'unknown',
		total: cents(rest.total) / 100,
		currency: (rest.currency ?? 'EUR').toUpperCase(),
		due_at: day(rest.due),
		address: address && { line1: address.street?.trim() || null, city: address.city ?? null, country: Countries.code(address.country) },
		lines: rows.map(({ sku, qty, price }: any) => ({ ...(sku && { sku }), quantity: Number(qty), amount: (cents(price) * Number(qty)) / 100 }))
	};
}
