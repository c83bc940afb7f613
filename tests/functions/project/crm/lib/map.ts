export interface Address {
	street?: string | null;
	city?: string;
	postal_code?: string | number;
	country_code?: string;
}

const COUNTRIES: Readonly<Record<string, string>> = { DE: 'Germany', CZ: 'Czechia', FR: 'France' };

export function oneLine(address: Address | null | undefined): string | null {
	if (!address) return null;
	const { street, city, postal_code: code, country_code: country } = address;
	const parts = [street?.trim(), [code, city].filter((part) => part !== undefined && part !== '').join(' '), country && (COUNTRIES[country.toUpperCase()] ?? country)];
	return parts.filter(Boolean).join(', ') || null;
}

export const toCents = (amount: string | number): number => Math.round(Number(String(amount).replace(',', '.')) * 100);

export function groupBy<T, K extends PropertyKey>(list: readonly T[], by: (each: T) => K): Record<K, T[]> {
	const out = {} as Record<K, T[]>;
	for (const each of list) (out[by(each)] ??= []).push(each);
	return out;
}

export default { version: 2 };
