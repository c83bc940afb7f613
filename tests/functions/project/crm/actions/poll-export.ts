import { createAction } from 'nango';
import * as z from 'zod';

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export default createAction({
	description: 'Starts an export, polls it and reads its CSV',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const { data: job } = await nango.post<{ id: string }>({ endpoint: '/exports', data: { format: 'csv' } });
		let state = 'pending';
		let attempts = 0;
		while (state === 'pending' && attempts < 5) {
			attempts++;
			await sleep(5 * attempts);
			({
				data: { state }
			} = await nango.get<{ state: string }>({ endpoint: `/exports/${encodeURIComponent(job.id)}` }));
		}
		if (state !== 'done') throw new nango.ActionError({ message: `export is ${state}`, attempts });
		const { data: csv } = await nango.get<string>({ endpoint: `/exports/${encodeURIComponent(job.id)}/file`, responseType: 'text' });
		const [head, ...lines] = csv.trim().split(/\r?\n/);
		const names = head!.split(',');
		return { attempts, rows: lines.map((line) => Object.fromEntries(parse(line).map((cell, i) => [names[i], cell]))) };
	}
});

function parse(line: string): string[] {
	const cells: string[] = [];
	let cell = '';
	let quoted = false;
	for (let i = 0; i < line.length; i++) {
		const c = line[i]!;
		if (quoted && c === '"' && line[i + 1] === '"') {
			cell += '"';
			i++;
		} else if (c === '"') quoted = !quoted;
		else if (c === ',' && !quoted) {
			cells.push(cell);
			cell = '';
		} else cell += c;
	}
	return [...cells, cell];
}
