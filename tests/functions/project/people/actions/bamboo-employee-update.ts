import { createAction } from 'nango';
import { z } from 'zod';

const Patch = z.object({ id: z.string() }).catchall(z.union([z.string(), z.number(), z.null()]));

export default createAction({
	description: 'Update fields of an employee; the answer has no body',
	version: '1.0.0',
	input: Patch,
	output: z.object({ success: z.boolean(), fields: z.array(z.string()), location: z.string().nullable(), dataType: z.string() }),
	exec: async (nango, input) => {
		const { id, ...fields } = Patch.parse(input);
		const known = new Set(['firstName', 'lastName', 'hireDate', 'salary', 'nickname']);
		const unknown = Object.keys(fields).filter((name) => !known.has(name));
		if (unknown.length > 0) throw new nango.ActionError({ type: 'unknown_fields', message: `Unknown field${unknown.length > 1 ? 's' : ''}: ${unknown.map((n) => `"${n}"`).join(', ')}` });
		if (typeof fields['hireDate'] === 'string') {
			const [month, day, year] = fields['hireDate'].split('/');
			if (year) fields['hireDate'] = [year, month!.padStart(2, '0'), day!.padStart(2, '0')].join('-');
		}
		const response = await nango.post({ endpoint: `/v1/employees/${id}`, data: fields, headers: { Accept: 'application/json' } });
		return { success: response.status === 200, fields: Object.keys(fields).sort(), location: response.headers['location'] ?? null, dataType: response.data === '' ? 'empty' : typeof response.data };
	}
});
