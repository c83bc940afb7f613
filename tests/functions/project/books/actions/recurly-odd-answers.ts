import { createAction } from 'nango';
import { z } from 'zod';

// More ways in which code without checks stumbles over an answer.
const attempts: Record<string, (data: any) => unknown> = {
	destructureDefault: (data) => {
		const { nothing: { text } = { text: 1 } } = data;
		return text;
	},
	notFunction: (data) => data.items.find(data.customer),
	destructure: (data) => {
		const { id } = data.nothing;
		return id;
	},
	destructureMissing: ({ list }) => {
		const { length } = list;
		return length;
	},
	parseCut: () => JSON.parse('{"a": [1, 2'),
	regex: (data) => new RegExp(data.bracket).test('x'),
	inText: (data) => 'a' in data.text,
	spreadCall: (data) => Math.max(...data.count)
};

export default createAction({
	description: 'More of what code without checks throws at an odd answer',
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
