import { createAction } from 'nango';
import { z } from 'zod';

interface DocNode {
	type: string;
	text?: string;
	attrs?: Record<string, unknown>;
	marks?: { type: string; attrs?: Record<string, unknown> }[];
	content?: DocNode[];
}

// Turns a bit of markdown into the document format.
function toDoc(markdown: string): DocNode {
	const blocks = markdown.split(/\n{2,}/).map((block): DocNode => {
		const heading = /^(#{1,6})\s+(.*)$/.exec(block);
		if (heading) return { type: 'heading', attrs: { level: heading[1]!.length }, content: inline(heading[2]!) };
		if (/^[-*] /m.test(block)) {
			return { type: 'bulletList', content: block.split('\n').map((line) => ({ type: 'listItem', content: [{ type: 'paragraph', content: inline(line.replace(/^[-*] /, '')) }] })) };
		}
		return { type: 'paragraph', content: inline(block) };
	});
	return { type: 'doc', attrs: { version: 1 }, content: blocks };
}

function inline(text: string): DocNode[] {
	const nodes: DocNode[] = [];
	const pattern = /\*\*([^*]+)\*\*|`([^`]+)`|\[([^\]]+)\]\((https?:[^)]+)\)/g;
	let last = 0;
	let match: RegExpExecArray | null;
	while ((match = pattern.exec(text)) !== null) {
		if (match.index > last) nodes.push({ type: 'text', text: text.slice(last, match.index) });
		if (match[1] !== undefined) nodes.push({ type: 'text', text: match[1], marks: [{ type: 'strong' }] });
		else if (match[2] !== undefined) nodes.push({ type: 'text', text: match[2], marks: [{ type: 'code' }] });
		else nodes.push({ type: 'text', text: match[3]!, marks: [{ type: 'link', attrs: { href: match[4] } }] });
		last = pattern.lastIndex;
	}
	if (last < text.length) nodes.push({ type: 'text', text: text.substring(last) });
	return nodes;
}

const plain = (node: DocNode): string => node.text ?? (node.content ?? []).map(plain).join(node.type === 'doc' || node.type === 'bulletList' ? '\n' : '');

export default createAction({
	description: 'Create an issue with a formatted description',
	version: '1.0.0',
	input: z.object({ project: z.string().toUpperCase(), summary: z.string().max(255), description: z.string().optional(), labels: z.array(z.string()).optional() }),
	output: z.any(),
	exec: async (nango, input) => {
		const connection = await nango.getConnection();
		const cloudId = (connection.metadata as { cloudId?: string } | null)?.cloudId;
		if (!cloudId) throw new nango.ActionError({ type: 'missing_metadata', message: 'cloudId is required in the metadata of the connection' });
		const doc = input.description ? toDoc(input.description) : undefined;
		const response = await nango.post({
			endpoint: `/ex/jira/${cloudId}/rest/api/3/issue`,
			data: { fields: { project: { key: input.project }, summary: input.summary, issuetype: { name: 'Task' }, labels: input.labels?.map((label) => label.replaceAll(' ', '_')), description: doc } },
			headers: { 'X-Atlassian-Token': 'no-check' }
		});
		return { key: response.data.key, self: new URL(response.data.self).pathname, text: doc && plain(doc) };
	}
});
