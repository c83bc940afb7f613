// Runs the lines of expressions.txt in Node and under the engine; each answers one text, which must be the same.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { run } from "./engine.mjs";

const require = createRequire(new URL("../../compiler/package.json", import.meta.url));

// Any value as text, undefined, -0 and errors too; must run on both sides.
const SHOW = `function show(v) {
	if (typeof v === "string") return JSON.stringify(v);
	if (typeof v === "number") return Object.is(v, -0) ? "-0" : String(v);
	if (typeof v === "function") return "function";
	if (v === null || typeof v !== "object") return String(v);
	if (v instanceof Error) return "error " + v.name + ": " + v.message;
	if (v instanceof Date) return "date " + v.getTime();
	if (v instanceof Map) return "map " + show([...v]);
	if (v instanceof Set) return "set " + show([...v]);
	if (v instanceof RegExp) return String(v);
	const list = [];
	if (Array.isArray(v)) {
		for (let i = 0; i < v.length; i++) list.push(i in v ? show(v[i]) : "");
		return "[" + list.join() + "]";
	}
	for (const k of Object.keys(v)) list.push(JSON.stringify(k) + ":" + show(v[k]));
	return "{" + list.join() + "}";
}`;

export const differs = (line) => line.startsWith("~ ");
const bare = (line) => (differs(line) ? line.slice(2) : line);

const bodyOf = (line) => (/^\{|\breturn\b|\bthrow /.test(line) ? line : `return ${line}`);

export function readGroups() {
	const text = readFileSync(new URL("expressions.txt", import.meta.url), "utf8");
	const groups = new Map();
	let list;
	for (const line of text.split("\n")) {
		if (line.startsWith("## ")) groups.set(line.slice(3), (list = []));
		else if (line !== "" && !line.startsWith("# ")) list.push(line);
	}
	return groups;
}

const program = (lines) => `${SHOW}
const LINES = [${lines.map((line) => `\nasync () => { ${bodyOf(bare(line))} }`).join(",")}];
const out = [];
for (const each of LINES) {
	try { out.push(show(await each())); } catch (error) { out.push("threw " + show(error)); }
}
return out;`;

const LEVELS = ["base", "accent", "case", "variant"];
const FORMS = ["NFC", "NFD", "NFKC", "NFKD"];

// What ICU answers in the runner is answered here by Node, from a list of all that was asked of it in `body`.
export async function recordUnicode(body) {
	const texts = String.prototype;
	const answers = {};
	const own = {};
	const compared = new Map();
	const note = (key, value) => {
		answers[JSON.stringify(key)] = value;
		return value;
	};
	const wrapped = {
		localeCompare(that, locale, options) {
			const key = JSON.stringify([LEVELS.indexOf(options?.sensitivity ?? "variant"), Boolean(options?.numeric)]);
			const value = own.localeCompare.call(this, that, locale, options);
			if (!compared.has(key)) compared.set(key, { options, texts: new Set() });
			compared.get(key).texts.add(String(this)).add(String(that));
			return value;
		},
		normalize(form) {
			return note(["normalize", String(this), FORMS.indexOf(form ?? "NFC")], own.normalize.call(this, form));
		},
		toUpperCase() {
			return note(["changeCase", String(this), true, ""], own.toUpperCase.call(this));
		},
		toLowerCase() {
			return note(["changeCase", String(this), false, ""], own.toLowerCase.call(this));
		},
		toLocaleUpperCase(locale) {
			const language = locale === undefined ? "en" : String(locale).slice(0, 2);
			return note(["changeCase", String(this), true, language], own.toLocaleUpperCase.call(this, locale));
		},
	};
	for (const name of Object.keys(wrapped)) {
		own[name] = texts[name];
		Object.defineProperty(texts, name, { value: wrapped[name], configurable: true, writable: true });
	}
	// Another sort compares other pairs.
	const noteAll = () => {
		for (const [key, { options, texts: list }] of compared) {
			for (const a of list) for (const b of list) note(["collate", a, b, ...JSON.parse(key)], own.localeCompare.call(a, b, "en", options));
		}
	};
	try {
		const out = await body();
		noteAll();
		return { out, answers };
	} finally {
		for (const name of Object.keys(own)) {
			Object.defineProperty(texts, name, { value: own[name], configurable: true, writable: true });
		}
	}
}

// The long numbers in texts, which the host reads in the runner.
function noteNumbers(text, answers) {
	for (const [, digits] of text.matchAll(/'([-+]?[0-9.]{16,}(?:e[-+]?[0-9]+)?)'/g)) answers[JSON.stringify(["Number", digits])] = Number(digits);
}

// [{ source, wanted, got }]
export async function compareLines(lines) {
	const text = program(lines);
	const made = (0, eval)(`"use strict"; (async (require) => { ${text} })`);
	const { out: wanted, answers } = await recordUnicode(() => made(require));
	noteNumbers(text, answers);
	const source = `"use strict"; exports.default = { type: "action", async exec() { ${text} } };`;
	const report = run(source, { unicode: answers });
	if (report.loadError !== null) throw new Error(JSON.stringify(report.loadError));
	if (!report.done?.[0]) throw new Error(report.done?.[1]);
	return lines.map((line, i) => ({ source: line, wanted: wanted[i], got: report.result[i] }));
}
