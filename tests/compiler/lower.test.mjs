// Lowering: what comes out runs, what cannot run is refused by name and place, and nothing kills the compiler.
import assert from "node:assert/strict";
import { test } from "node:test";

import { firstPositions, inlineMap, locate } from "../../compiler/lib/maps.mjs";
import { lower, stripSource } from "../../compiler/lib/lower.mjs";
import { lowerRegex, unsupportedRegex } from "../../compiler/lib/regex.mjs";

const refusal = (source) => {
	try {
		lower(source);
	} catch (error) {
		assert.equal(error.name, "Refusal", String(error.stack));
		return error;
	}
	return assert.fail(`not refused: ${source.slice(0, 80)}`);
};

test("modern syntax becomes ES5", () => {
	const out = lower(
		'"use strict";\nconst f = async ({ a, ...b }, c = `x${1}`) => { for await (const x of a?.b ?? []) yieldIt(x); class D extends E { #p = 1 } };\nexports.default = { async *g() { yield 1 } };',
	);
	assert.doesNotMatch(out, /=>|\bconst\b|\blet\b|\bclass\b|`|async |\?\?|\?\.|function ?\*/);
	assert.match(out, /__awaiter/);
	assert.doesNotMatch(out, /var __awaiter/);
});

test("the same source gives the same code", () => {
	const source = "exports.default = { type: 'action', exec: async (nango) => [...(await nango.get({})).data] };";
	assert.equal(lower(source, { name: "a", integration: "b" }), lower(source, { name: "a", integration: "b" }));
});

test("the inline source map is left out, and lines keep their numbers", () => {
	const source = "var a = 1;\n//# sourceMappingURL=data:application/json;base64,AAAA\nvar b = 2;\n";
	assert.equal(stripSource(source), "var a = 1;\n\nvar b = 2;\n");
	assert.doesNotMatch(lower(source), /sourceMapping/);
	assert.equal(stripSource("\ufeff#!/usr/bin/node\nx"), "//#!/usr/bin/node\nx");
});

test("the line table leads back to the source", () => {
	const out = lower("var a = 1;\n\n  throw new Error(\n    'x');\n");
	const table = /\/\/# lines=(.*)/.exec(out)[1].split(",");
	assert.deepEqual(table.slice(0, 2), ["1:1", "2:3"]);
	assert.deepEqual(firstPositions(`{"mappings":""}`), [null]);
});

const REFUSED = [
	["const fs = require('fs');", 'module "fs"', 1, 20],
	["var a;\n  require('node:child_process')", 'module "node:child_process"', 2, 11],
	["import x from 'lodash';", 'module "lodash"', 1, 15],
	["require(name)", "require of a computed name", 1, 1],
	["var a;\nvar b = import('zod');", "dynamic import", 2, 9],
	["eval('1')", "eval", 1, 1],
	["new Function('return 1')", "new Function", 1, 1],
	["with (a) { b }", "with statement", 1, 1],
	["var a;\nawait a;", "await outside of a function", 2, 1],
	["var f = async () => await 1;\nif (f) { for await (const b of f()) f(b); }", "await outside of a function", 2, 10],
	["let n = 10n;", "BigInt literal", 1, 9],
	["/(?<=a)b/", "regular expression lookbehind", 1, 1],
	["/(?<!a)b/", "regular expression lookbehind", 1, 1],
	["x.match(/(?<year>\\d+)/)", "named group in a regular expression", 1, 9],
	["/a/y", "sticky regular expression (flag y)", 1, 1],
	["/a/d", "regular expression match indices (flag d)", 1, 1],
	["let x = ;", "syntax error", 1, 9],
	["function f( {", "syntax error", 1, 14],
	["'unterminated", "syntax error", 1, 14],
	["`unterminated", "syntax error", 1, 14],
	["a b c", "syntax error", 1, 1],
];
for (const [source, construct, line, column] of REFUSED) {
	test(`refused: ${source.split("\n").pop().trim()}`, () => {
		const error = refusal(source);
		assert.equal(error.construct, construct);
		assert.equal(error.line, line);
		assert.equal(error.column, column);
		assert.ok(error.message.length > 0);
	});
}

test("allowed modules pass, under both names", () => {
	for (const name of ["nango", "zod", "crypto", "node:crypto", "url", "node:url", "buffer", "node:buffer"]) {
		assert.match(lower(`var m = require("${name}");`), /require/);
	}
});

test("words that only look refused pass", () => {
	const source = 'var a = { eval: 1, with: 2, import: 3 }; a.eval; var s = "eval(1) import(2) (?<x>"; // eval("1")\nx.require("fs");';
	assert.match(lower(source), /a\.eval/);
});

test("regular expressions keep their meaning", () => {
	const cases = [
		["\\p{L}+", "u", "Zoë"],
		["^.$", "u", "😀"],
		["a.b", "s", "a\nb"],
		["[^é]", "", "x"],
		["\\u{1F600}", "u", "😀"],
		["[\\u{1F600}-\\u{1F64F}]", "u", "😃"],
		["^[\\w.-]+@\\S+$", "i", "A@b"],
	];
	for (const [pattern, flags, text] of cases) {
		const lowered = lowerRegex(pattern, flags);
		assert.match(lowered.flags, /^[gim]*$/);
		assert.match(lowered.pattern, /^[\x20-\x7e]*$/);
		assert.ok(new RegExp(lowered.pattern, lowered.flags).test(text), pattern);
	}
	assert.equal(unsupportedRegex("[(?<=a)]\\(?<b>", ""), null);
	assert.equal(unsupportedRegex("(?:a)(?=b)(?!c)", "gim"), null);
});

test("line separators in strings are escaped, long numbers are rounded as the standard says", () => {
	const out = lower("var a = '\u2028', b = 9007199254740993, c = 1_000_000, d = 0b11;");
	assert.match(out, /"\\u2028"/);
	assert.doesNotMatch(out, /\u2028/);
	assert.equal(Number(/b = ([\d.]+)/.exec(out)[1]), 9007199254740992);
	assert.match(out, /c = 1000000, d = 3/);
});

test("NUL, CRLF, BOM and an odd name are no trouble", () => {
	assert.match(lower("\ufeffvar a = '\\0';\r\nvar b = 1;\r\n", { name: "../x y", integration: "é" }), /var b/);
	assert.equal(refusal("var a = 1;\u0000").construct, "syntax error");
});

test("deep nesting and size are refused in bounded time", () => {
	assert.match(refusal("(".repeat(10000)).construct, /nesting|syntax/);
	assert.match(refusal("[".repeat(10000) + "]".repeat(10000)).construct, /nesting/);
	assert.match(refusal("x" + "=>({a:x".repeat(20000)).construct, /nesting|syntax/);
	assert.equal(refusal("x".repeat(2000001)).construct, "size");
	assert.equal(refusal("x".repeat(50000001)).construct, "size");
	assert.equal(refusal(undefined).message, "no source was given");
	assert.match(lower(`var a = "${"y".repeat(1000000)}";`), /var a/);
});
