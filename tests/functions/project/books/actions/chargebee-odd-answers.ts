import { createAction } from 'nango';
import { z } from 'zod';

// Every way in which code without checks stumbles over an answer.
const attempts: Record<string, (data: any) => unknown> = {
	missingList: (data) => data.list.map((x: any) => x.id),
	nullMember: (data) => data.nothing.id,
	deeper: (data) => data.customer.billing.address.line1,
	index: (data) => data.items[5].price,
	notList: (data) => data.customer.map((x: any) => x),
	iterateObject: (data) => [...data.customer],
	iterateUndefined: (data) => {
		for (const x of data.list) return x;
	},
	destructureNested: (data) => {
		const {
			customer: {
				billing: { address }
			}
		} = data;
		return address;
	},
	destructureList: (data) => {
		const [first] = data.nothing;
		return first;
	},
	destructureListOfObject: (data) => {
		const [first] = data.customer;
		return first;
	},
	parameters: (data) => data.items.map(({ price: { amount } }: any) => amount),
	parseText: () => JSON.parse('<html>no</html>'),
	parseEmpty: () => JSON.parse(''),
	parseUndefined: (data) => JSON.parse(data.list),
	date: (data) => new Date(data.text).toISOString(),
	url: (data) => new URL(data.text).href,
	entries: (data) => Object.entries(data.nothing),
	keys: (data) => Object.keys(data.list),
	reduce: () => ([] as number[]).reduce((a, b) => a + b),
	repeat: () => 'x'.repeat(-1),
	fixed: () => (1.5).toFixed(101),
	bigint: (data) => BigInt(data.text),
	bigintFraction: () => BigInt(1.5),
	uri: () => decodeURIComponent('%E0%A4%A'),
	buffer: (data) => Buffer.from(data.nothing),
	bufferMissing: (data) => Buffer.from(data.list),
	circular: () => {
		const self: any = { name: 'x' };
		self.self = self;
		return JSON.stringify(self);
	},
	frozen: () => {
		(Object.freeze({ a: 1 }) as any).a = 2;
	},
	method: (data) => data.text.toIsoString(),
	lowerNumber: (data) => data.count.toLowerCase(),
	newThing: (data) => new data.customer(),
	instance: (data) => data.items instanceof data.customer,
	fromEntries: () => Object.fromEntries([1] as any),
	map: () => new Map([1] as any),
	symbolText: () => `${Symbol('s') as any}`,
	locale: () => 'a'.localeCompare('b', 'not a locale'),
	zone: () => new Date(0).toLocaleDateString('en-US', { timeZone: 'Mars/Base' }),
	arrayLength: () => new Array(-1),
	hash: (data) => require('crypto').createHash(data.text)
};

export default createAction({
	description: 'What code without checks throws at an odd answer',
	version: '1.0.0',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const { data } = await nango.get({ endpoint: '/api/v2/odd' });
		const out: Record<string, unknown> = {};
		for (const [name, attempt] of Object.entries(attempts)) {
			try {
				out[name] = { fine: attempt(data) ?? null };
			} catch (error: any) {
				out[name] = `${error.name} / ${error.constructor.name} / ${error.code ?? '-'} / ${error.message}`;
			}
		}
		return out;
	}
});
