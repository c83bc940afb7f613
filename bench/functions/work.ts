import { createAction } from 'nango';
import * as z from 'zod';

const User = z.object({
	id: z.number().int(),
	name: z.string().min(1),
	email: z.string(),
	active: z.boolean(),
	score: z.number().nullable(),
	tags: z.array(z.string()),
	address: z.object({ street: z.string(), city: z.string(), zip: z.string().optional() }),
	role: z.enum(['admin', 'user', 'guest'])
});
const user = {
	id: 7,
	name: 'Ann',
	email: 'ann@example.com',
	active: true,
	score: null,
	tags: ['a', 'b', 'c'],
	address: { street: '1 Road', city: 'Town' },
	role: 'user'
};

function text(bytes: number): string {
	const items: unknown[] = [];
	const one = JSON.stringify(user).length + 1;
	for (let size = 2; size < bytes; size += one) items.push(user);
	return JSON.stringify(items);
}

// Each does its work `times` times.
const works: Record<string, (times: number, size: number) => unknown> = {
	nothing: () => null,
	construct: (times) => {
		for (let i = 0; i < times; i++)
			z.object({ a: z.string(), b: z.number(), c: z.boolean(), d: z.string().optional(), e: z.array(z.string()), f: z.string(), g: z.number(), h: z.string() });
		return null;
	},
	parse: (times) => {
		for (let i = 0; i < times; i++) User.parse(user);
		return null;
	},
	read: (times, size) => {
		const json = text(size);
		for (let i = 0; i < times; i++) JSON.parse(json);
		return null;
	},
	write: (times, size) => {
		const value = JSON.parse(text(size));
		for (let i = 0; i < times; i++) JSON.stringify(value);
		return null;
	},
	loop: (times) => {
		let sum = 0;
		for (let i = 0; i < times * 1000; i++) sum = (sum + i * 7) % 1000003;
		return sum;
	},
	await: async (times) => {
		let sum = 0;
		for (let i = 0; i < times; i++) sum += await i;
		return sum;
	}
};

export default createAction({
	description: 'the cost of common work',
	input: z.object({ work: z.string(), times: z.number(), size: z.number() }),
	output: z.any(),
	exec: async (nango, input) => works[input.work](input.times, input.size)
});
