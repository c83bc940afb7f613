import { createAction } from 'nango';
import { z } from 'zod';

const escapeXml = (value: string) => value.replace(/[<>&'"]/g, (c) => `&#${c.charCodeAt(0)};`);
const between = (text: string, open: string, close: string) => {
	const from = text.indexOf(open);
	return from < 0 ? undefined : text.slice(from + open.length, text.indexOf(close, from));
};

export default createAction({
	description: 'A worker by an XML envelope',
	version: '1.0.0',
	input: z.object({ workerId: z.string() }),
	output: z.any(),
	exec: async (nango, { workerId }) => {
		const body = `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">
	<soapenv:Body><Get_Workers_Request><ID type="Employee_ID">${escapeXml(workerId)}</ID></Get_Workers_Request></soapenv:Body>
</soapenv:Envelope>`;
		try {
			const response = await nango.post<string>({ endpoint: '/ccx/service/tenant/Human_Resources/v42.0', data: body, headers: { 'Content-Type': 'text/xml; charset=utf-8', SOAPAction: '""' } });
			const names = Array.from(response.data.matchAll(/<wd:Name\s+lang="(\w+)">([^<]*)<\/wd:Name>/g), ([, lang, name]) => ({ lang, name }));
			return { names, total: Number(between(response.data, '<wd:Total>', '</wd:Total>') ?? NaN) || null };
		} catch (err: any) {
			const fault = typeof err.response?.data === 'string' ? between(err.response.data, '<faultstring>', '</faultstring>') : undefined;
			throw new nango.ActionError({ type: 'soap_fault', message: fault ?? err.message, status: err.response?.status, statusText: err.response?.statusText });
		}
	}
});
