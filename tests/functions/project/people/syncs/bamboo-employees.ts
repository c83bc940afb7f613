import { createSync } from 'nango';
import { z } from 'zod';
import { compact, fullName, isoDate } from '../lib/format.js';

const Employee = z.object({ id: z.string(), name: z.string(), email: z.string().optional(), hired: z.string().optional(), manager: z.string().optional(), department: z.string() });

export default createSync({
	description: 'Employees by a POST report',
	version: '1.0.0',
	frequency: 'every 6 hours',
	autoStart: true,
	models: { Employee },
	exec: async (nango) => {
		const fields = ['id', 'firstName', 'lastName', 'workEmail', 'hireDate', 'supervisorEId', 'department'] as const;
		const response = await nango.post<{ employees: Partial<Record<(typeof fields)[number], string | null>>[] }>({ endpoint: '/v1/reports/custom', params: { format: 'JSON', onlyCurrent: 'true' }, data: { title: 'Current', fields }, headers: { Accept: 'application/json' }, retries: 3 });
		await nango.trackDeletesStart('Employee');
		const { employees } = response.data;
		for (let i = 0; i < employees.length; i += 2) {
			await nango.batchSave(
				employees.slice(i, i + 2).map((e) => compact({ id: e.id!, name: fullName(e.firstName, e.lastName), email: e.workEmail, hired: isoDate(e.hireDate), manager: e.supervisorEId, department: e.department ?? 'None' })),
				'Employee'
			);
		}
		await nango.trackDeletesEnd('Employee');
	}
});
