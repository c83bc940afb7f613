import { createAction } from 'nango';
import { z } from 'zod';

interface Part {
	partId?: string;
	mimeType: string;
	filename?: string;
	headers?: { name: string; value: string }[];
	body?: { size: number; data?: string; attachmentId?: string };
	parts?: Part[];
}

function* walk(part: Part, depth = 0): Generator<[Part, number]> {
	yield [part, depth];
	for (const child of part.parts ?? []) yield* walk(child, depth + 1);
}

const decode = (data: string) => Buffer.from(data.replace(/-/g, '+').replace(/_/g, '/'), 'base64').toString('utf-8');

export default createAction({
	description: 'Read a mail: headers, texts, attachments',
	version: '1.0.0',
	input: z.object({ id: z.string() }),
	output: z.any(),
	exec: async (nango, { id }) => {
		const { data } = await nango.get<{ id: string; internalDate: string; payload: Part; labelIds?: string[] }>({ endpoint: `/gmail/v1/users/me/messages/${id}`, params: new URLSearchParams({ format: 'full' }).toString() });
		const headers = new Map(data.payload.headers?.map(({ name, value }) => [name.toLowerCase(), value]));
		const bodies: Record<string, string> = {};
		const attachments: { filename: string; size: number; md: number }[] = [];
		for (const [part, depth] of walk(data.payload)) {
			if (part.filename) {
				const { data: file } = await nango.get<{ data: string; size: number }>({ endpoint: `/gmail/v1/users/me/messages/${id}/attachments/${part.body!.attachmentId}` });
				attachments.push({ filename: part.filename, size: Buffer.from(file.data, 'base64url' as BufferEncoding).byteLength, md: depth });
			} else if (part.body?.data) bodies[part.mimeType] = (bodies[part.mimeType] ?? '') + decode(part.body.data);
		}
		const from = headers.get('from')?.match(/^(?:"?([^"]*)"?\s)?<?([^\s<>]+@[^\s<>]+?)>?$/);
		return {
			from: from ? { name: from[1]?.trim() ?? null, email: from[2] } : null,
			to: headers.get('to')?.split(/,\s*(?=(?:[^"]*"[^"]*")*[^"]*$)/) ?? [],
			date: headers.has('date') ? new Date(headers.get('date')!).toISOString() : null,
			received: new Date(parseInt(data.internalDate)).toISOString(),
			unread: data.labelIds?.includes('UNREAD') ?? false,
			bodies,
			attachments
		};
	}
});
