// Bad inputs: each has one right answer in bounded time, with its place, and the worker answers the next request.
// The numbers are the rows of the catalogue of bad inputs.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { actionSource, start } from "./rig.mjs";

const BOUND_MS = 20000;
const ENTRY = "crm/actions/fn.ts";
let worker;
let id = 0;
let process_;

before(async () => {
	worker = start();
	process_ = worker.child.pid;
	await worker.next();
});
after(async () => {
	assert.equal(await worker.end(), 0);
});

async function compile(source, options = {}) {
	const files = typeof source === "string" ? { [ENTRY]: source } : source;
	const began = performance.now();
	const answer = await worker.ask({ id: ++id, op: "compile", files, entry: ENTRY, name: "fn", integration: "crm", typeCheck: false, ...options });
	assert.equal(answer.id, id);
	assert.ok(performance.now() - began < BOUND_MS, "too slow");
	return answer;
}

async function survives() {
	const answer = await worker.ask({ id: ++id, op: "lower", js: "exports.a = 1", name: "fn", integration: "crm" });
	assert.deepEqual([answer.id, answer.ok], [id, true]);
	assert.equal(worker.child.pid, process_);
	assert.equal(worker.child.exitCode, null);
}

async function refused(source, expected, options) {
	const { ok, error } = await compile(source, options);
	assert.equal(ok, false);
	for (const [member, value] of Object.entries(expected)) {
		if (value instanceof RegExp) assert.match(String(error[member]), value, JSON.stringify(error));
		else assert.deepEqual(error[member], value, JSON.stringify(error));
	}
	assert.ok(error.line >= 1 && error.column >= 1, JSON.stringify(error));
	assert.ok(error.construct && error.message, JSON.stringify(error));
	assert.ok(error.message.length < 1000);
	await survives();
	return error;
}

async function lowered(js) {
	const began = performance.now();
	const answer = await worker.ask({ id: ++id, op: "lower", js, name: "fn", integration: "crm" });
	assert.ok(performance.now() - began < BOUND_MS, "too slow");
	await survives();
	return answer;
}

test("36: a source of 50 MB is refused, as TypeScript and as a bundle", async () => {
	const line = "export const a = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx';\n";
	const source = line.repeat(50e6 / line.length);
	await refused(source, { construct: "size", file: ENTRY, line: 38462, column: 29, remedy: /import less/ });
	const { ok, error } = await lowered(source);
	assert.deepEqual([ok, error.construct, error.line], [false, "size", 38462]);
});

test("36: one line of 10 MB is refused at the column where it is too much", async () => {
	await refused(`const a = "${"x".repeat(1e7)}";`, { construct: "size", line: 1, column: 2000001 });
	assert.equal((await lowered(`var a = "${"x".repeat(1e7)}";`)).error.construct, "size");
});

test("36: one line of 1 MB compiles", async () => {
	assert.equal((await compile(actionSource("return a.length", `const a = "${"x".repeat(1e6)}";`))).ok, true);
});

for (const [what, source] of Object.entries({
	"open parentheses": "const a =\n  " + "(".repeat(10000),
	"open and closed brackets": `const a =\n  ${"[".repeat(10000)}${"]".repeat(10000)};`,
	"open braces": "function f() " + "{".repeat(10000),
	"open template holes": "const a = " + "`${".repeat(10000),
	"nested functions": "const a = " + "() => ({ a: ".repeat(10000),
	"conditions": `const a = ${"x ? y : ".repeat(30000)} z;`,
	"unary operators": `const a = ${"!".repeat(100000)}1;`,
	"a long sum": `const a = ${"1 + ".repeat(100000)}1;`,
})) {
	test(`36: ten thousand and more: ${what}`, async () => {
		const { ok, error } = await compile(source);
		assert.equal(ok, false);
		assert.match(error.construct, /nesting|syntax error|definition/);
		assert.ok(error.line >= 1 && error.column >= 1);
		await survives();
		assert.equal((await lowered(source)).id, id - 1);
	});
}

test("36: the place of too deep nesting is where it is deepest", async () => {
	await refused(`\n\nconst a = ${"[".repeat(20000)}${"]".repeat(20000)};`, { construct: "nesting", line: 3, column: 20010, remedy: /split/ });
});

test("36: 5 000 nested generics are refused with their place", async () => {
	const nested = `type A<T> = { t: T };\nlet x: ${"A<".repeat(5000)}1${">".repeat(5000)};`;
	await refused(nested, { construct: "nesting", line: 2, column: 10007 });
});

test("36: types that grow without end are refused by the type check in bounded time", async () => {
	const chain = ["type C0<T> = { a: T; b: T };"];
	for (let i = 1; i < 5000; i++) chain.push(`type C${i}<T> = C${i - 1}<C${i - 1}<T>>;`);
	await refused(actionSource("return x", `${chain.join("\n")}\nlet x: C4999<1> = 5;`), { construct: /type error|type check/, file: ENTRY }, { typeCheck: true });
	const counting = "type B<T, N extends any[] = []> = N['length'] extends 50000 ? T : B<{ t: T }, [...N, 1]>;\nlet x: B<1> = 5;";
	await refused(actionSource("return x", counting), { construct: "type error TS2589", line: 4, column: 8, remedy: /less deep/ }, { typeCheck: true });
	const product = "type D = 0|1|2|3|4|5|6|7|8|9; type E = `${D}${D}${D}${D}`; type F = `${E}${E}`; let x: F;";
	await refused(actionSource("return x!", product), { construct: "type error TS2590", line: 3 }, { typeCheck: true });
});

test("37: NUL outside of a string is a syntax error, inside of one it is kept", async () => {
	await refused("const a = 1;\nconst b =\u0000 2;", { construct: "syntax error", line: 2, file: ENTRY });
	const { ok, definition } = await compile(actionSource("return 'a\u0000b'").replace('"d"', '"d\u0000e"'));
	assert.deepEqual([ok, definition.description], [true, "d\u0000e"]);
});

test("37: a byte order mark and CRLF change nothing, lines stay right", async () => {
	const source = actionSource("return 1").replaceAll("\n", "\r\n");
	assert.equal((await compile(`\ufeff${source}`)).ok, true);
	await refused(`\ufeff${actionSource('eval("1")').replaceAll("\n", "\r\n")}`, { construct: "eval", line: 5, column: 1 });
});

test("37: U+2028 in a string stays, outside it ends a line", async () => {
	const { ok, code } = await compile(actionSource("return 'a\u2028b'"));
	assert.equal(ok, true);
	assert.match(code, /a\\u2028b/);
	assert.doesNotMatch(code, /[\u2028\u2029]/);
	await refused("const a = 1;\u2028const b = ;", { construct: "syntax error", line: 2, column: 11 });
});

test("37: half of a surrogate pair is refused, its escape is kept", async () => {
	await refused(actionSource("return '\ud800'"), { construct: "encoding", line: 5, column: 9 });
	const { ok, code } = await compile(actionSource("return '\\ud800'"));
	assert.equal(ok, true);
	assert.match(code, /\\ud800/i);
});

test("37: bytes that are no UTF-8 are refused where they begin", async () => {
	const text = JSON.stringify({ id: ++id, op: "compile", source: 'const ok = "é";\nconst a = "#";', name: "fn", integration: "crm" });
	const at = text.indexOf("#");
	const bytes = Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from([0xff, 0xfe]), Buffer.from(text.slice(at + 1))]);
	const { ok, error } = await worker.ask(bytes);
	assert.equal(ok, false);
	assert.deepEqual([error.construct, error.line, error.column], ["encoding", 2, 12]);
	await survives();
});

const CONSTRUCTS = [
	["node:fs", actionSource("return fs", 'import fs from "node:fs";'), 'module "node:fs"', 3, 16],
	["an npm name", actionSource("return _", 'import _ from "lodash";'), 'module "lodash"', 3, 15],
	["a scoped npm name", actionSource("return a", 'import { a } from "@x/y";'), 'module "@x/y"', 3, 19],
	["require of a module", actionSource('return require("child_process")', "declare const require: any;"), 'module "child_process"', 5, 16],
	["dynamic import", actionSource('return import("zod")'), "dynamic import", 5, 8],
	["dynamic import of a computed name", actionSource("return import(String(input.n))"), "dynamic import", 5, 8],
	["eval", actionSource('  return eval("1")'), "eval", 5, 10],
	["new Function", actionSource('return new Function("return 1")'), "new Function", 5, 8],
	["BigInt literal", actionSource("return 10n"), "BigInt literal", 5, 8],
	["lookbehind", actionSource("return /(?<=a)b/.test('')"), "regular expression lookbehind", 5, 8],
];
for (const [what, source, construct, line, column] of CONSTRUCTS) {
	test(`38: ${what} is refused by name`, async () => {
		await refused(source, { construct, file: ENTRY, line, column, remedy: /./ });
	});
}

test("38: with is refused by name", async () => {
	await refused(actionSource("with (input) { return n }"), { message: /[Ww]ith statement/, line: 5, column: 1, file: ENTRY });
	const { error } = await lowered("var a;\nwith (a) { b }");
	assert.deepEqual([error.construct, error.line, error.column], ["with statement", 2, 1]);
});

test("38: what is refused in another file is named with that file", async () => {
	const files = { [ENTRY]: actionSource("return bad()", 'import { bad } from "../lib.js";'), "crm/lib.ts": "// first\nexport const bad = () => eval('1');\n" };
	await refused(files, { construct: "eval", file: "crm/lib.ts", line: 2, column: 26 });
});

test("38: a reference directive cannot read files of the server", async () => {
	await refused(`/// <reference path="../../../../etc/passwd" />\n${actionSource("")}`, { construct: "reference directive", line: 1 }, { typeCheck: true });
	await refused(actionSource("", 'type X = typeof import("/etc/passwd");'), { construct: "import", line: 3, column: 24 }, { typeCheck: true });
});

test("39: hard but lawful code compiles", async () => {
	const bodies = [
		"return /(a+)+$/.test(String(input.n))",
		"outer: for (;;) { inner: for (;;) { if (input.n) continue outer; else break outer } }",
		"class A { get x() { throw new Error('x') } }; return new A().x",
		"for (;;);",
	];
	for (const body of bodies) assert.equal((await compile(actionSource(body))).ok, true, body);
	await refused(actionSource("return `open"), { construct: "syntax error", file: ENTRY });
	await refused(actionSource("a: for (;;) { continue b }"), { message: /label|Label/ });
});

test("40: an import cycle works", async () => {
	const files = {
		[ENTRY]: actionSource("return a(input.n)", 'import { a } from "../a.js";'),
		"crm/a.ts": 'import { b } from "./b.js"; export const a = (n: number): number => (n > 0 ? b(n - 1) : 0);',
		"crm/b.ts": 'import { a } from "./a.js"; export const b = (n: number): number => a(n);',
	};
	assert.equal((await compile(files, { typeCheck: true })).ok, true);
});

test("40: an import from outside of the project is refused, however it is written", async () => {
	for (const specifier of ["../../../etc/passwd", "/etc/passwd", "../../../../../../etc/passwd.json", "../../x/../../y.js"]) {
		await refused(actionSource("", `import "${specifier}";`), { construct: "import", message: /outside of the project/, file: ENTRY, line: 3, column: 8 });
		await refused(actionSource("", `export * from "${specifier}";`), { message: /outside of the project/, line: 3, column: 15 });
	}
});

test("40: paths of the request stay in the project", async () => {
	for (const path of ["../x.ts", "/etc/x.ts", "a//b.ts", "a/./b.ts", "a/../../b.ts", "a\\b.ts", "a\u0000.ts", ""]) {
		await refused({ [ENTRY]: actionSource(""), [path]: "" }, { construct: "request", message: /no path of a project/ });
	}
});

test("40: an import of another integration's file works", async () => {
	const files = { [ENTRY]: actionSource("return shared", 'import { shared } from "../../erp/shared.js";'), "erp/shared.ts": "export const shared = 1;" };
	const { ok, js } = await compile(files, { typeCheck: true });
	assert.equal(ok, true);
	assert.match(js, /shared = 1/);
});

test("40: an import that does not exist is refused with its place", async () => {
	await refused(actionSource("", 'import { a } from "./gone.js";'), { construct: "import", message: /gone\.js" does not exist/, line: 3, column: 19 });
	await refused(actionSource("", 'import type { a } from "./gone.js";'), { message: /does not exist/, line: 3, column: 24 });
});

const DEFINITIONS = {
	"no output schema": [actionSource("").replace("output: z.any(), ", ""), /needs an output schema/, 4, 16],
	"a schema that is none": [actionSource("").replace("output: z.any()", "output: 5"), /output is not a zod schema/, 4, 93],
	"no exec": ['import { createAction } from "nango"; import * as z from "zod";\nexport default createAction({ description: "d", output: z.any() } as any);', /no exec/, 2, 16],
	"no default export": ["export const a = 1;", /exports no function/, 1, 1],
	"a module that throws": [actionSource("", 'const f = () => {\n\tthrow new Error("at load");\n};\nf();'), /cannot be loaded: at load/, 6, 1],
	"a global that a run has not": [actionSource("", "const home = (globalThis as any).process.env.HOME;"), /cannot be loaded/, 3, 1],
};
for (const [what, [source, message, line, column]] of Object.entries(DEFINITIONS)) {
	test(`41: ${what} is refused with its place`, async () => {
		await refused(source, { message, file: ENTRY, line, column, remedy: /./ });
	});
}

test("41: a schema that never ends is refused", async () => {
	const deep = "const deep = (): any => z.object({ get next() { return deep(); } });";
	await refused(actionSource("", deep).replace("output: z.any()", "output: deep()"), { construct: /schema|module/, file: ENTRY, line: 4 });
});

test("41: a module that never ends, or eats the memory, is refused, and the next one is read", async () => {
	await refused(actionSource("", "for (;;);"), { construct: "module", message: /longer than 5 s/, line: 4, column: 16 });
	await refused(actionSource("", "Promise.resolve().then(function f(): any { return Promise.resolve().then(f) });"), { construct: "module" });
	await refused(actionSource("", "const eaten: any[] = []; for (;;) eaten.push(new Array(100000).fill({}));"), { construct: "module", message: /256 MB|5 s/ });
	assert.equal((await compile(actionSource("return 1"))).ok, true);
});

test("41: a module cannot reach out of the context that it is loaded in", async () => {
	const attempts = [
		"(globalThis as any).constructor.constructor('return process')()",
		"(console as any).log.constructor.constructor('return process')().exit(7)",
		"(z as any).object.constructor('return process')().exit(7)",
		"(0, (globalThis as any).eval)('process.exit(7)')",
		"(function () { return (arguments.callee.caller as any).constructor('return process')() } as any)()",
		"new Proxy({}, { get(t: any, k: any, r: any) { return r } }) as any",
	];
	for (const attempt of attempts) {
		const source = actionSource("", `let text: string; try { text = String(${attempt}) } catch (error: any) { text = "refused" }`).replace('"d"', "text");
		const answer = await compile(source);
		assert.ok(!answer.ok || !/\[object process\]/.test(answer.definition.description), attempt);
	}
	await survives();
});

test("41: errors near the end of the stack are the module's own, not the host's", async () => {
	for (const body of ["new Error('x').stack", "null!.x", "Promise.reject(1)", "(Error as any).captureStackTrace({})", "z.string().parse(1)"]) {
		const probe = `let foreign = 0;
const see = (e: unknown) => { if (typeof e === "object" && !(e instanceof Error)) foreign++; };
const dive = (n: number): void => {
	try { dive(n + 1); } catch (e) { see(e); }
	try { ${body}; } catch (e) { see(e); }
};
dive(0);`;
		const answer = await compile(actionSource("", probe).replace('"d"', "String(foreign)"));
		assert.deepEqual([answer.ok, answer.definition?.description], [true, "0"], body);
	}
});

test("41: functions of one name do not meet: their schemas are named by integration", async () => {
	const first = await compile(actionSource("return 1"));
	const second = await worker.ask({ id: ++id, op: "compile", source: actionSource("return 1"), name: "fn", integration: "erp", typeCheck: false });
	assert.deepEqual([first.schemas.input, second.schemas.input], ["ActionInput_crm_fn", "ActionInput_erp_fn"]);
});
