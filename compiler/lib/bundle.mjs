// Bundles one function of a set of files in memory to CommonJS, as the published command line does.
import { posix } from "node:path";

import { build } from "esbuild";

import { ALIASES, MODULES, moduleRemedy } from "./modules.mjs";
import { Refusal } from "./refusal.mjs";
import { outsideMessage, resolveImport } from "./source.mjs";

const WRAPPERS = { createAction: "action", createSync: "sync", createOnEvent: "onEvent" };
const LOADERS = { ".json": "json", ".js": "js", ".mjs": "js", ".cjs": "js" };

// The wrappers are compiled away: what is left of `nango` is this.  ActionError is the run's own.
const NANGO = `${Object.entries(WRAPPERS)
	.map(([name, type]) => `export const ${name} = (definition) => ({ type: ${JSON.stringify(type)}, ...definition });`)
	.join("\n")}
export { ActionError } from "nango";
`;

function plugin(files) {
	return {
		name: "function",
		setup(bundler) {
			bundler.onResolve({ filter: /^nango$/ }, ({ namespace }) =>
				namespace === "nango" ? { path: "nango", external: true, sideEffects: false } : { path: "nango", namespace: "nango" },
			);
			bundler.onLoad({ filter: /.*/, namespace: "nango" }, () => ({ contents: NANGO, loader: "js" }));
			bundler.onResolve({ filter: /.*/ }, ({ path, importer, kind }) => {
				if (kind === "entry-point") return { path: `/${path}` };
				if (/^[^./]/.test(path)) {
					const name = ALIASES[path] ?? path;
					if (MODULES.has(name)) return { path: name, external: true };
					return { errors: [{ text: `module "${path.slice(0, 200)}" cannot be used`, notes: [{ text: moduleRemedy(path) }] }] };
				}
				const found = resolveImport(files, importer.slice(1), path);
				if (found) return { path: `/${found}` };
				const text = found === null ? outsideMessage(path) : `"${path.slice(0, 200)}" does not exist`;
				return { errors: [{ text, notes: [{ text: "import files of the project by their relative path" }] }] };
			});
			bundler.onLoad({ filter: /.*/, namespace: "file" }, ({ path }) => ({
				contents: files.get(path.slice(1)) ?? "",
				loader: LOADERS[posix.extname(path)] ?? "ts",
			}));
		},
	};
}

function refusalOf({ text, location, notes }) {
	// Its columns count bytes.
	const before = location ? Buffer.from(location.lineText).subarray(0, location.column).toString("utf8") : "";
	const module = text.startsWith('module "') ? text.replace(/ cannot be used$/, "") : undefined;
	if (text.startsWith("Top-level await")) {
		return new Refusal("top-level await cannot run here", {
			file: location.file,
			line: location.line,
			column: before.length + 1,
			construct: "top-level await",
			remedy: "await inside of exec",
		});
	}
	return new Refusal(text, {
		...(location ? { file: location.file, line: location.line, column: before.length + 1 } : {}),
		construct: module ?? (notes.length > 0 ? "import" : "syntax error"),
		remedy: notes[0]?.text ?? "correct the syntax here or just before",
	});
}

// The CommonJS text of the function in `file`, with its source map inline.  Throws a Refusal.
export async function bundle(files, file) {
	let built;
	try {
		built = await build({
			absWorkingDir: "/",
			entryPoints: [file],
			outfile: "/function.cjs",
			bundle: true,
			write: false,
			format: "cjs",
			platform: "node",
			target: "esnext",
			charset: "ascii",
			// Node, which reads the definition, does not know them.
			supported: { decorators: false },
			sourcemap: "inline",
			sourcesContent: false,
			treeShaking: true,
			logLevel: "silent",
			tsconfigRaw: { compilerOptions: { target: "esnext", useDefineForClassFields: true } },
			plugins: [plugin(files)],
		});
	} catch (error) {
		if (!error.errors?.length) throw error;
		throw Refusal.of(error.errors.map(refusalOf));
	}
	return built.outputFiles[0].text;
}
