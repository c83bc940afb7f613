// Builds the runner's prelude: our sources, TypeScript's helpers and zod, bundled and lowered to one ES5 script.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build, transform } from "esbuild";

import { lowerTrusted } from "./lower.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const sources = join(here, "../../runtime/prelude/src");
const resolveHere = createRequire(import.meta.url).resolve;

// z.compile makes functions from text, which cannot be here; as zod does where it may not, it answers the schema.
const COMPILE_STUB = `
export const INVALID = Symbol.for("zod.compile.invalid");
export const compile = (schema) => schema;
export const withParser = (schema) => schema;
export class ZodCompileAsyncError extends Error {}
export class ZodCompileUnsupportedError extends Error {}
`;

// The one expression of zod that is made with flag u at run time.
const EMOJI = /new RegExp\(_emoji, "u"\)/;
const EMOJI_LITERAL = "/^(\\p{Extended_Pictographic}|\\p{Emoji_Component})+$/u";

const plugin = {
	name: "prelude",
	setup(bundler) {
		bundler.onResolve({ filter: /^(tslib|zod\/.*)$/ }, (args) => {
			const file = args.path.startsWith("zod/")
				? join(dirname(resolveHere("zod/package.json")), args.path.slice(4))
				: join(dirname(resolveHere("tslib/package.json")), "tslib.es6.mjs");
			return { path: file };
		});
		bundler.onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents: "export {};" }));
		bundler.onLoad({ filter: /zod\/v4\/core\/compile\.js$/ }, () => ({ contents: COMPILE_STUB }));
		bundler.onLoad({ filter: /zod\/v4\/core\/regexes\.js$/ }, async (args) => {
			const text = await readFile(args.path, "utf8");
			if (!EMOJI.test(text)) throw new Error("zod's regexes.js is not as expected");
			return { contents: text.replace(EMOJI, () => EMOJI_LITERAL) };
		});
	},
};

export async function buildPrelude() {
	const bundled = await build({
		absWorkingDir: sources,
		entryPoints: ["main.js"],
		bundle: true,
		write: false,
		format: "iife",
		target: "esnext",
		charset: "ascii",
		treeShaking: true,
		legalComments: "none",
		logLevel: "silent",
		plugins: [plugin],
	});
	const es5 = lowerTrusted(bundled.outputFiles[0].text, "prelude.js");
	const small = await transform(es5, {
		target: "es5",
		charset: "ascii",
		minifyWhitespace: true,
		legalComments: "none",
	});
	return small.code;
}
