import { createAction } from 'nango';
import * as z from 'zod';

export default createAction({
	description: 'uncontrolledFetch: addresses that are not allowed, odd answers',
	input: z.object({ base: z.string() }),
	output: z.any(),
	exec: async (nango, { base }) => {
		const blocked = [];
		for (const href of ['http://169.254.169.254/latest/meta-data', 'http://10.1.2.3/', 'http://[::1]:80/']) {
			try {
				await nango.uncontrolledFetch({ url: new URL(href) });
				blocked.push('allowed');
			} catch (error: any) {
				blocked.push([error instanceof nango.ActionError, error.type, error.payload?.code]);
			}
		}
		const ask = (path: string, more = {}) => nango.uncontrolledFetch({ url: new URL(base + path), ...more });
		const text = await ask('/text');
		const missing = await ask('/missing', { headers: { accept: 'text/plain', 'X-Mine': 'ü'.normalize('NFD').slice(0, 1) } });
		const bytes = await ask('/bytes');
		const moved = await ask('/moved');
		const put = await ask('/put', { method: 'PUT', body: JSON.stringify({ a: '😀' }), headers: { 'content-type': 'application/json' } });
		return { blocked, text: [text.status, text.ok, await text.text(), text.headers.get('X-Twice'), text.headers.has('nope')], missing: [missing.status, missing.ok, missing.statusText, await missing.text()], bytes: Buffer.from(await bytes.arrayBuffer()).toString('hex'), moved: [moved.status, await moved.json()], put: put.status };
	}
});
