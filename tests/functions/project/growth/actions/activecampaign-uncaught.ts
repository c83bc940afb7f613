import { createAction } from 'nango';
import { z } from 'zod';

const Step = z.enum(['null', 'list', 'call', 'range', 'json', 'aggregate', 'typed', 'text', 'number', 'reject', 'thenable', 'cause', 'zod', 'timer']);

class AutomationError extends TypeError {
	constructor(message: string, public readonly details: { id: string }) {
		super(message);
		this.name = 'AutomationError';
	}
	override toString() {
		return `${this.name}(${this.details.id})`;
	}
}

export default createAction({
	description: 'Fails in a way that nothing catches',
	version: '1.0.0',
	input: z.object({ step: z.string() }),
	output: z.any(),
	exec: async (nango, input) => {
		const step = Step.parse(input.step);
		const { data } = await nango.get<any>({ endpoint: '/api/3/automations' });
		switch (step) {
			case 'null':
				return data.automations[0].settings.name;
			case 'list':
				return data.meta.map((m: any) => m.total);
			case 'call':
				return await data.next();
			case 'range':
				return new Date(data.created).toISOString();
			case 'json':
				return JSON.parse(data.created);
			case 'aggregate':
				return await Promise.any([Promise.reject(new Error('a')), Promise.reject(new TypeError('b'))]);
			case 'typed':
				throw new AutomationError('it broke', { id: '5' });
			case 'text':
				throw 'only text ž';
			case 'number':
				throw 42;
			case 'reject':
				return Promise.reject({ code: 7, list: [1] });
			case 'thenable':
				return await ({ then: (_: unknown, no: (e: Error) => void) => no(new RangeError('thenable')) } as PromiseLike<string>);
			case 'cause':
				throw new Error('outer', { cause: new Error('inner') });
			case 'zod':
				return z.object({ meta: z.object({ total: z.string() }) }).strict().parse(data);
			case 'timer':
				return await new Promise((_, no) => setTimeout(() => no(new EvalError('late')), 3));
		}
	}
});
