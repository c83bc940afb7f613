// Functions made from a seed: each runs many small bodies and returns what they returned, as text.
import { Forms } from './forms.mjs';

export const PER_FUNCTION = 25;

const PREFIX = `import { createHash, createHmac } from 'crypto';
import { createAction } from 'nango';
import * as z from 'zod';

void [createHash, createHmac];
const ascii = (text: string) => text.replace(/[^\\x20-\\x7e]/g, (c) => '\\\\u' + c.charCodeAt(0).toString(16));
const show = (value: any, depth = 0): string => {
	if (value === undefined) return 'undefined';
	if (value === null) return 'null';
	if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
	if (typeof value === 'string') return '"' + value + '"';
	if (typeof value === 'function' || typeof value === 'symbol') return typeof value;
	if (typeof value !== 'object') return typeof value + ' ' + String(value);
	if (depth > 12) return '...';
	if (Buffer.isBuffer(value)) return 'Buffer ' + value.toString('hex');
	if (value instanceof Date) return 'Date ' + (isNaN(value.getTime()) ? 'invalid' : value.toISOString());
	if (value instanceof RegExp) return String(value);
	if (value instanceof Map) return 'Map' + show([...value.entries()], depth + 1);
	if (value instanceof Set) return 'Set' + show([...value], depth + 1);
	if (value instanceof Error) return value.name + ': ' + value.message;
	if (Array.isArray(value)) {
		let text = '[';
		for (let i = 0; i < value.length; i++) text += (i > 0 ? ', ' : '') + (i in value ? show(value[i], depth + 1) : 'hole');
		return text + ']';
	}
	return '{' + Object.keys(value).map((key) => JSON.stringify(key) + ': ' + show(value[key], depth + 1)).join(', ') + '}';
};
`;

const ENGINE = "['TypeError', 'RangeError', 'SyntaxError', 'ReferenceError', 'URIError']";

function source(bodies, top) {
	const list = bodies.map((body) => `\tasync (): Promise<any> => { ${body} },\n`).join('');
	return `${PREFIX}${top}const bodies: (() => Promise<any>)[] = [\n${list}];

export default createAction({
	description: 'Made from a seed',
	input: z.object({ only: z.number().optional() }),
	output: z.any(),
	exec: async (_nango, input) => {
		const out: string[] = [];
		for (let i = 0; i < bodies.length; i++) {
			if (input.only !== undefined && input.only !== i) continue;
			try {
				out.push(ascii(show(await bodies[i]!())).slice(0, 20000));
			} catch (error: any) {
				out.push(ascii('threw ' + error?.name + (${ENGINE}.includes(error?.name) ? '' : ': ' + error?.message)));
			}
		}
		return out;
	}
});
`;
}

// [{ name, bodies, text }] of `count` bodies.
export function generate(seed, count) {
	const made = [];
	for (let from = 0; from < count; from += PER_FUNCTION) {
		const bodies = [];
		let top = '';
		for (let i = from; i < Math.min(count, from + PER_FUNCTION); i++) {
			const forms = new Forms(seed * 100003 + i);
			let body = forms.body();
			if (forms.top) {
				const unique = forms.top.replace(/\bLevel\b/g, `Level${i}`).replace(/\bTools\b/g, `Tools${i}`);
				body = body.replace(/\bLevel\b/g, `Level${i}`).replace(/\bTools\b/g, `Tools${i}`);
				top += unique;
			}
			bodies.push(body);
		}
		made.push({ name: `made-${seed}-${from}`, bodies, text: source(bodies, top) });
	}
	return made;
}
