import { createAction } from 'nango';
import { z } from 'zod';

const Line = z.object({ item: z.string(), qty: z.number().positive(), unit_price: z.number(), tax: z.boolean().default(false) });
const round = (value: number, places = 2) => Number(Math.round(Number(`${value}e${places}`)) + `e-${places}`);

export default createAction({
	description: 'Create an invoice with lines and totals',
	version: '1.0.0',
	input: z.object({ customer: z.string(), lines: z.array(Line).min(1, 'at least one line'), due: z.coerce.date().optional() }),
	output: z.any(),
	exec: async (nango, raw) => {
		const Schema = z.object({ customer: z.string(), lines: z.array(Line).min(1, 'at least one line'), due: z.coerce.date().optional() });
		const input = Schema.parse(raw);
		const connection = await nango.getConnection();
		const realmId = connection.connection_config['realmId'] ?? 'none';
		const lines = input.lines.map(({ item, qty, unit_price, tax }, index) => ({ LineNum: index + 1, Amount: round(qty * unit_price), DetailType: 'SalesItemLineDetail', SalesItemLineDetail: { ItemRef: { value: item }, Qty: qty, UnitPrice: unit_price, ...(tax ? { TaxCodeRef: { value: 'TAX' } } : {}) } }));
		const body = { CustomerRef: { value: input.customer }, Line: lines, DueDate: input.due?.toISOString().split('T')[0], PrivateNote: null };
		const { data } = await nango.post({ endpoint: `/v3/company/${realmId}/invoice`, params: { minorversion: 65 }, data: body });
		if (data.Fault) throw new nango.ActionError({ type: data.Fault.type, errors: data.Fault.Error.map((e: any) => `${e.code}: ${e.Message}${e.Detail ? ` - ${e.Detail}` : ''}`) });
		const sum = lines.reduce((total, { Amount }) => total + Amount, 0);
		return { id: data.Invoice.Id, sum, rounded: round(sum), balance: Number(data.Invoice.Balance).toFixed(2), number: data.Invoice.DocNumber?.padStart(6, '0') };
	}
});
