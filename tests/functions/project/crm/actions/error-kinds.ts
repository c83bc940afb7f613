import { createAction } from 'nango';
import * as z from 'zod';

class Refused extends Error {
	readonly code = 'REFUSED';
	constructor(readonly details: unknown, options?: { cause?: unknown }) {
		super(`refused: ${JSON.stringify(details)}`);
		this.name = 'Refused';
		if (options?.cause) (this as any).cause = options.cause;
	}
}

export default createAction({
	description: 'ActionErrors with payloads of every kind, errors in errors',
	input: z.object({ what: z.string() }),
	output: z.any(),
	exec: async (nango, { what }) => {
		const payloads: Record<string, unknown> = { zero: 0, empty: '', false: false, null: null, date: new Date(0), nested: { a: undefined, b: NaN, c: [undefined, () => 1], d: new Date(0), e: new Map([[1, 2]]), z: 1, 'ü 😀': '\u2028' }, error: new Error('inside'), list: [[], {}, null], bytes: Buffer.from('ü'), large: 'x'.repeat(50000), message: { message: 'own message', code: 'X1' } };
		if (what in payloads) throw new nango.ActionError(payloads[what] as any);
		if (what === 'class') throw new Refused({ a: 1 });
		if (what === 'cause') {
			try {
				await nango.get({ endpoint: '/broken' });
			} catch (error) {
				throw new Refused((error as any).response.status, { cause: error });
			}
		}
		if (what === 'wrapped') {
			try {
				throw new nango.ActionError({ inner: 1 });
			} catch (error: any) {
				throw new nango.ActionError({ outer: error.payload, type: error.type, is: error instanceof Error });
			}
		}
		if (what === 'finally') {
			try {
				throw new Error('lost');
			} finally {
				// eslint-disable-next-line no-unsafe-finally
				return 'returned';
			}
		}
		if (what === 'later') await new Promise((_, failed) => setTimeout(() => failed(new nango.ActionError({ late: true })), 5));
		if (what === 'frozen') throw Object.freeze(new Error('cold'));
		throw Object.assign(new Error('with fields'), { status: 400, response: { status: 500 } });
	}
});
