// What a function may import: what is there works, and what is not is refused with its place and a way out; for
// TypeScript and for the bundle of the published command line alike.
import assert from "node:assert/strict";
import { test } from "node:test";

import { compile } from "../../compiler/lib/compile.mjs";
import { lower } from "../../compiler/lib/lower.mjs";
import { MODULES } from "../../compiler/lib/modules.mjs";
import { Refusal } from "../../compiler/lib/refusal.mjs";
import { action, haveEngine, run } from "./engine.mjs";

const skip = !haveEngine && "no duk";
const ENTRY = "crm/actions/fn.ts";
const names = { name: "fn", integration: "crm", type: "action" };

// An action whose file begins with `before` on a line of its own.
const source = (before, body, output = "z.any()") =>
	`${before}\nimport { createAction } from "nango";\nimport * as z from "zod";\nexport default createAction({ description: "d", input: z.any(), output: ${output}, exec: async (nango, input) => {\n${body}\n} });\n`;
const request = (text, others = {}) => ({ files: { [ENTRY]: text, ...others }, entry: ENTRY, ...names });

async function answer(text, others) {
	const { js, code } = await compile(request(text, others));
	const report = run(js, { lowered: code, input: {} });
	assert.equal(report.done?.[0], true, JSON.stringify(report.done ?? report.loadError));
	return report.result;
}

async function refusal(text, others, typeCheck = false) {
	try {
		await compile({ ...request(text, others), typeCheck });
	} catch (error) {
		assert.ok(error instanceof Refusal, error.stack);
		assert.ok(error.remedy, `${error.message} has no remedy`);
		return [error.construct, error.file, error.line, error.column, error.remedy];
	}
	return assert.fail("not refused");
}

test("the prelude has each module that the compiler lets through, and no other", { skip }, () => {
	const others = ["soap", "botbuilder", "nango/experimental", "fs", "node:nango", "node:zod", "__proto__", "constructor", ""];
	const text = action("return [input.mine.map((name) => typeof require_(name)), input.others.map((name) => { try { require_(name); return name } catch (e) { return e.message } })]", "const require_ = module.require;");
	// A computed name is refused by the compiler: the prelude's own function is handed over by the module's wrapper.
	const { result } = run(text.replace("module.require", "input => 0"), {
		lowered: lower(text.replace("module.require", "(0, [require][0])")),
		input: { mine: [...MODULES], others },
	});
	assert.deepEqual(result[0], [...MODULES].map(() => "object"));
	assert.deepEqual(result[1], others.map((name) => `Module '${name}' is not allowed`));
});

const WORKING = {
	"zod as a name": ['import { z as s } from "zod";', 'return s.string().parse("a")', "a"],
	"zod as a namespace": ['import * as s from "zod";', 'return s.string().parse("a")', "a"],
	"zod as a default": ['import s from "zod";', 'return s.string().parse("a")', "a"],
	"single functions of zod": ['import { object, string } from "zod";', 'return object({ a: string() }).parse({ a: "b" })', { a: "b" }],
	"zod/v4": ['import { z as s } from "zod/v4";', 'return s.string().parse("a")', "a"],
	"types of zod": ['import type { ZodType, infer as Infer } from "zod"; type S = Infer<ZodType<string>>; const a: S = "x";', "return a", "x"],
	"node:url": ['import * as url from "node:url"; import { URL as U } from "url";', 'return [new url.URL("http://a/b").host, new U("http://c").host]', ["a", "c"]],
	"node:buffer": ['import { Buffer as B } from "node:buffer";', 'return B.from("a").toString("hex")', "61"],
	"crypto by import and require": ['import c = require("crypto"); import d, { randomUUID } from "node:crypto";', "return [c.randomUUID().length, d.randomUUID().length, randomUUID().length]", [36, 36, 36]],
	"the types of nango": ['import type { NangoAction, NangoSync, ProxyConfiguration } from "nango"; const f = (n: NangoAction, c: ProxyConfiguration) => [n.connectionId, c.endpoint];', 'return f(nango as unknown as NangoAction, { endpoint: "/a" })', ["conn", "/a"]],
	"enums and namespaces": ['enum E { A, B = "b" } const enum C { X = 4 } namespace N { export const f = () => 1; export namespace M { export const g = 2 } }', "return [E.A, E[0], E.B, C.X, N.f(), N.M.g]", [0, "A", "b", 4, 1, 2]],
	"parameter properties and abstract classes": ["abstract class A { constructor(protected x: number, public readonly y = 2) {} abstract sum(): number } class B extends A { override sum() { return this.x + this.y } }", "return new B(1).sum()", 3],
	"decorators": ['function named(_method: (this: A) => string, context: ClassMethodDecoratorContext) { return function (this: A) { return `${String(context.name)}!` } } class A { @named m() { return "x" } }', "return new A().m()", "m!"],
	"satisfies, definite assignment and overloads": ["const o = { a: 1 } satisfies Record<string, number>; function f(a: string): string; function f(a: number): number; function f(a: any) { return a } let y!: number;", "y = f(2); return [o.a, y, f('x')]", [1, 2, "x"]],
};
for (const [what, [before, body, expected]] of Object.entries(WORKING)) {
	test(`works: ${what}`, { skip }, async () => {
		assert.deepEqual(await answer(source(before, body)), expected);
	});
}

test("works: JSON, barrels, re-exports, cycles of types, constants of enums from a sibling", { skip }, async () => {
	const others = {
		"shared/index.ts": 'export * from "./a.js";\nexport { b as c, default as whole } from "./b.js";\nexport * as all from "./b.js";\nexport type { T } from "./a.js";',
		"shared/a.ts": 'import type { B } from "./b.js";\nexport interface T { n: number }\nexport const enum Size { Small = 1, Big = 9 }\nexport const a = (b: B): number => b.n;',
		"shared/b.ts": 'import type { T } from "./a.js";\nexport type B = T;\nexport const b = 2;\nexport default { n: 3 };',
		"shared/data.json": '{"list":[1,2],"text":"é"}',
	};
	const before = 'import { a, c, whole, all, Size, type T } from "../../shared/index.js";\nimport data, { text } from "../../shared/data.json";\nimport { b } from "../../shared";';
	const body = "const t: T = { n: 5 }; return [a(t), c, whole.n, all.b, Size.Big, data.list, text, b]".replace(", b]", ", all.default.n]");
	assert.deepEqual(await answer(source(before.replace('import { b } from "../../shared";', 'import {} from "../../shared/b.js";'), body), others), [5, 2, 3, 2, 9, [1, 2], "é", 3]);
});

test("works: a dynamic import of a file of the project, which is bundled", { skip }, async () => {
	assert.equal(await answer(source("", 'return (await import("../other.js")).a'), { "crm/other.ts": "export const a = 7;" }), 7);
});

test("works: ActionError is the run's own class", { skip }, async () => {
	const text = source('import { ActionError } from "nango";', "try { throw new ActionError({ a: 1 }) } catch (e) { return [e instanceof nango.ActionError, (e as any).payload] }");
	const { js, code } = await compile({ ...request(text), typeCheck: false });
	assert.deepEqual(run(js, { lowered: code, input: {} }).result, [true, { a: 1 }]);
});

const REFUSED = {
	"soap": ['import * as soap from "soap";', "return soap", 'module "soap"', 1, 23, /XML/],
	"botbuilder": ['import { CardFactory } from "botbuilder";', "return CardFactory", 'module "botbuilder"', 1, 29, /REST/],
	"nango/experimental": ['import { createFunction } from "nango/experimental";', "return createFunction", 'module "nango/experimental"', 1, 32, /createAction/],
	"zod/v3": ['import { z as s } from "zod/v3";', "return s", 'module "zod/v3"', 1, 24, /import from "zod"/],
	"axios": ['import axios from "axios";', "return axios", 'module "axios"', 1, 19, /nango\.get/],
	"a module of Node": ['import { readFile } from "node:fs/promises";', "return readFile", 'module "node:fs/promises"', 1, 26, /./],
	"import x = require": ['import fs = require("fs");', "return fs", 'module "fs"', 1, 21, /./],
	"require": ["declare const require: any;", '\treturn require("os")', 'module "os"', 5, 17, /./],
	"require of a computed name": ["declare const require: any;", '\treturn require(String(input))', "require of a computed name", 5, 9, /./],
	"dynamic import": ["", '\treturn import("node:crypto")', "dynamic import", 5, 9, /top of the file/],
	"top-level await": ["const a = await Promise.resolve(1);", "return a", "top-level await", 1, 11, /exec/],
	"JSX": ["", "\treturn <div>hello</div>", "JSX", 5, 9, /without JSX/],
	"a using declaration": ["", "\tusing a = input; return a", "using declaration", 5, 2, /finally/],
	"export =": ['import { createAction as make } from "nango"; import { z as s } from "zod";\nexport = make({ description: "d", input: s.any(), output: s.any(), exec: async () => 1 });\n//', "", "export =", 2, 1, /export default/],
};
for (const [what, [before, body, construct, line, column, remedy]] of Object.entries(REFUSED)) {
	test(`38: refused with place and remedy: ${what}`, async () => {
		const found = await refusal(source(before, body), { "crm/other.ts": "export const a = 1;" });
		assert.deepEqual(found.slice(0, 4), [construct, ENTRY, line, column]);
		assert.match(found[4], remedy);
	});
}

test("38: a bundle of the published command line is refused with the place in its TypeScript", () => {
	const map = { version: 3, sources: ["../crm/actions/fn.ts"], names: [], mappings: "AAAA;AACA,aAAS" };
	const inline = Buffer.from(JSON.stringify(map)).toString("base64");
	for (const [name, remedy] of [["soap", /XML/], ["botbuilder", /REST/], ["nango/experimental", /createAction/]]) {
		if (MODULES.has(name)) continue;
		const js = `"use strict";\nvar soap = require("${name}");\n//# sourceMappingURL=data:application/json;base64,${inline}\n`;
		assert.throws(() => lower(js), ({ file, line, construct, remedy: text }) => {
			assert.deepEqual([file, line, construct], ["crm/actions/fn.ts", 2, `module "${name}"`]);
			assert.match(text, remedy);
			return true;
		});
	}
});

test("39: code from strings is refused when it is written out, and fails with EvalError when it is hidden", { skip }, async () => {
	assert.deepEqual((await refusal(source("", "return eval('1')"))).slice(0, 1), ["eval"]);
	assert.deepEqual((await refusal(source("", "return Function('1')"))).slice(0, 1), ["new Function"]);
	const hidden = ["(0, eval)('1')", "(() => {}).constructor('1')", "Reflect.construct(Function, ['1'])", "globalThis['eval']('1')"];
	const body = `const out: string[] = []; ${hidden.map((each) => `try { ${each}; out.push("ran") } catch (e: any) { out.push(e.name) }`).join("\n")} return out`;
	const { js, code } = await compile({ ...request(source("", body)), typeCheck: false });
	assert.deepEqual(run(js, { lowered: code, input: {} }).result, hidden.map(() => "EvalError"));
});
