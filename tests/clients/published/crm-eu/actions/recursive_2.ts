import { createAction } from 'nango';
import * as z from 'zod';

const Node = z.object({
	name: z.string(),
	get children() {
		return z.array(Node);
	}
});

export default createAction({
	description: 'A tree in, a tree out',
	input: z.object({ root: Node, spare: Node.optional() }),
	output: Node,
	metadata: z.object({ depth: z.number() }),
	checkpoint: z.object({ at: z.string() }),
	exec: async (nango, input) => {
		const checkpoint = await nango.getCheckpoint();
		await nango.saveCheckpoint({ at: `${checkpoint?.at}x` });
		return input.root;
	}
});
