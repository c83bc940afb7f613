import { createAction } from 'nango';
import * as z from 'zod';

class Custom extends TypeError {
	override name = 'Custom';
	detail = { a: 1 };
}

export default createAction({
	description: 'Throws what functions throw',
	input: z.object({ what: z.string() }),
	output: z.any(),
	exec: async (_nango, { what }) => {
		switch (what) {
			case 'error':
				throw new Error('boom 😀');
			case 'range':
				throw new RangeError('out of it');
			case 'custom':
				throw new Custom('mine');
			case 'text':
				throw 'just text';
			case 'object':
				throw { code: 7, why: 'no error' };
			case 'null':
				throw null;
			case 'undefined':
				throw undefined;
			case 'number':
				throw 42;
			case 'empty':
				throw new Error();
			case 'property':
				return (undefined as any).field;
			case 'call':
				return ({} as any).method();
			case 'name':
				throw Object.assign(new Error('renamed'), { name: 'Renamed', code: 'E1' });
			case 'reject':
				return Promise.reject(new Error('rejected'));
			case 'json':
				return JSON.parse('{"a":');
			default:
				return what;
		}
	}
});
