import { createAction } from 'nango';
import * as z from 'zod';

const wait = <T>(ms: number, value: T) => new Promise<T>((resolve) => setTimeout(() => resolve(value), ms));

export default createAction({
	description: 'Promises: order, all, race, any, allSettled, finally',
	input: z.object({}),
	output: z.any(),
	exec: async (nango) => {
		const order: string[] = [];
		const timers = Promise.all([wait(20, 'slow').then((v) => order.push(v)), wait(5, 'fast').then((v) => order.push(v)), Promise.resolve().then(() => order.push('micro'))]);
		order.push('sync');
		await timers;
		queue(order);
		await null;
		order.push('after await');
		const settled = await Promise.allSettled([1, Promise.reject(new Error('no')), wait(1, 'x')]);
		const race = await Promise.race([wait(30, 'late'), wait(2, 'early')]);
		const any = await Promise.any([Promise.reject(1), wait(1, 'any')]);
		const none = await Promise.any([Promise.reject(1)]).catch((error) => [error.name, error.errors]);
		const fin: string[] = [];
		const value = await Promise.resolve('v').finally(() => fin.push('f'));
		const many = await Promise.all([1, 2, 3].map((id) => nango.get({ endpoint: `/item/${id}` }).then(({ data }) => data.id)));
		const thenable = await { then: (resolve: (v: string) => void) => resolve('thenable') };
		return { order, settled: settled.map((s) => (s.status === 'fulfilled' ? s.value : String(s.reason))), race, any, none, fin, value, many, thenable };
	}
});

function queue(order: string[]) {
	Promise.resolve().then(() => order.push('1')).then(() => order.push('2'));
	Promise.resolve().then(() => order.push('a')).then(() => order.push('b'));
}
