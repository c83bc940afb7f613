import { createAction } from 'nango';
import { z } from 'zod';

const RichText = z.array(z.object({ plain_text: z.string(), href: z.string().nullable(), annotations: z.object({ bold: z.boolean(), italic: z.boolean(), code: z.boolean() }).partial().default({}) }));
const block = <T extends string>(type: T) => z.object({ id: z.string(), has_children: z.boolean(), type: z.literal(type), [type]: z.object({ rich_text: RichText }).loose() });
const Block = z.union([block('paragraph'), block('heading_1'), block('heading_2'), block('bulleted_list_item'), block('to_do'), block('code'), z.object({ id: z.string(), has_children: z.boolean(), type: z.string() }).passthrough()]);

export default createAction({
	description: 'A page as markdown',
	version: '1.0.0',
	input: z.object({ page: z.string() }),
	output: z.object({ markdown: z.string(), skipped: z.array(z.string()) }),
	exec: async (nango, input) => {
		const skipped = new Set<string>();
		const text = (parts: z.infer<typeof RichText>) =>
			parts
				.map(({ plain_text, href, annotations: { bold, italic, code } }) => {
					let out = plain_text;
					if (code) out = `\`${out}\``;
					if (italic) out = `_${out}_`;
					if (bold) out = `**${out}**`;
					return href ? `[${out}](${href})` : out;
				})
				.join('');
		const render = async (id: string, indent: string): Promise<string[]> => {
			const lines: string[] = [];
			let start_cursor: string | undefined;
			do {
				const { data }: { data: any } = await nango.get({ endpoint: `/v1/blocks/${id}/children`, params: { page_size: 100, ...(start_cursor && { start_cursor }) }, headers: { 'Notion-Version': '2022-06-28' } });
				for (const raw of data.results) {
					const parsed: any = Block.parse(raw);
					const rich = parsed[parsed.type]?.rich_text;
					const prefix = ({ paragraph: '', heading_1: '# ', heading_2: '## ', bulleted_list_item: '- ', to_do: parsed.to_do?.checked ? '- [x] ' : '- [ ] ' } as Record<string, string>)[parsed.type];
					if (parsed.type === 'code') lines.push(`${indent}\`\`\`${parsed.code.language ?? ''}`, ...text(rich).split('\n').map((l) => indent + l), `${indent}\`\`\``);
					else if (prefix === undefined) skipped.add(parsed.type);
					else lines.push(indent + prefix + text(rich));
					if (parsed.has_children) lines.push(...(await render(parsed.id, `${indent}  `)));
				}
				start_cursor = data.has_more ? data.next_cursor : undefined;
			} while (start_cursor);
			return lines;
		};
		return { markdown: (await render(input.page, '')).join('\n'), skipped: [...skipped].sort() };
	}
});
