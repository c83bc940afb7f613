import { createAction } from 'nango';
import * as z from 'zod';

class Stack extends Array<number> {
	top() {
		return this[this.length - 1];
	}
}
class Registry extends Map<string, number> {
	bump(name: string) {
		return this.set(name, (this.get(name) ?? 0) + 1);
	}
}

export default createAction({
	description: 'Subclasses of Array and Map',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const registry = new Registry().bump('a').set('b', 5);
		const stack = new Stack();
		stack.push(1, 2);
		return { registry: [...registry], map: registry instanceof Map, top: stack.top(), array: Array.isArray(stack) };
	}
});
