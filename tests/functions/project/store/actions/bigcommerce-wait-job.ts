import { createAction } from 'nango';
import { z } from 'zod';

class Deadline extends Error {
	override name = 'Deadline';
	constructor(readonly after: number) {
		super(`nothing after ${after} polls`);
	}
}
const delay = <T>(ms: number, value?: T) => new Promise<T | undefined>((done) => setTimeout(done, ms, value));

async function* poll<T>(call: () => Promise<T>, { every, max }: { every: number; max: number }) {
	for (let i = 1; i <= max; i++) {
		yield [i, await call()] as const;
		await delay(every);
	}
	throw new Deadline(max);
}

export default createAction({
	description: 'Start a job, poll it, give up after some polls',
	version: '1.0.0',
	input: z.object({ max: z.number() }),
	output: z.any(),
	exec: async (nango, { max }) => {
		const job = await nango.post({ endpoint: '/v3/jobs', data: {} });
		const location = job.headers['location'];
		const states: string[] = [];
		try {
			for await (const [n, { data }] of poll(async () => await nango.get({ endpoint: location }), { every: 5, max })) {
				states.push(`${n}:${data.state}`);
				if (data.state === 'done') return { states, result: data.result };
				if (data.state === 'failed') throw new nango.ActionError({ type: 'job_failed', states, reason: data.reason });
			}
		} catch (error) {
			if (error instanceof Deadline) throw new nango.ActionError({ type: error.name, message: error.message, after: error.after, keys: Object.keys(error), text: `${error}` });
			throw error;
		} finally {
			await nango.delete({ endpoint: location, params: { polls: states.length } });
		}
		return null;
	}
});
