export const enum Case {
	Upper = 'upper',
	Lower = 'lower'
}

export function shown(value: string, as: Case): string {
	return as === Case.Upper ? value.toUpperCase() : value.toLowerCase();
}
