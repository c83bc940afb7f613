type Compact<T> = { [K in keyof T as null extends T[K] ? never : undefined extends T[K] ? never : K]: T[K] } & { [K in keyof T as null extends T[K] ? K : undefined extends T[K] ? K : never]?: NonNullable<T[K]> };

/** Leaves out what is null, undefined or an empty text. */
export function compact<T extends Record<string, unknown>>(value: T): Compact<T> {
	return Object.fromEntries(Object.entries(value).filter(([, v]) => v != null && v !== '')) as Compact<T>;
}

export const fullName = (...parts: (string | null | undefined)[]): string => parts.map((part) => part?.trim()).filter(Boolean).join(' ') || 'Unknown';

const ZERO = '0000-00-00';
export function isoDate(text: string | null | undefined): string | undefined {
	if (!text || text === ZERO) return undefined;
	const date = new Date(text);
	return Number.isNaN(+date) ? undefined : date.toISOString().replace(/T.*$/, '');
}

export default { compact, fullName, isoDate };
