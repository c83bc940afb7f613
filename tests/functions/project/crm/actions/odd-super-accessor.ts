import { createAction } from 'nango';
import * as z from 'zod';

class Base {
	constructor(private readonly label: string) {}
	get name() {
		return this.label;
	}
}
class Loud extends Base {
	override get name() {
		return super.name + '!';
	}
}

export default createAction({ description: 'A getter that asks the getter above', input: z.object({}), output: z.any(), exec: async () => new Loud('hey').name });
