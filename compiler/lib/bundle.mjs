// Bundles one function file and reads its definition, as the published command line does.
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";

import { fileURLToPath } from "node:url";
import vm from "node:vm";

import { build } from "esbuild";

import { MODULES } from "./lower.mjs";

const EVALUATION_MS = 5000;
const WRAPPERS = { createAction: "action", createSync: "sync", createOnEvent: "onEvent" };

export class DeployError extends Error {}

// The wrappers are compiled away: what is left of `nango` is this.
const NANGO = `${Object.entries(WRAPPERS)
	.map(([name, type]) => `export const ${name} = (definition) => ({ type: ${JSON.stringify(type)}, ...definition });`)
	.join("\n")}
export class ActionError extends Error {
	constructor(payload) {
		super();
		this.type = "action_script_runtime_error";
		this.payload = payload;
	}
}
`;

function plugin(root) {
	return {
		name: "function",
		setup(bundler) {
			bundler.onResolve({ filter: /^nango$/ }, () => ({ path: "nango", namespace: "nango" }));
			bundler.onLoad({ filter: /.*/, namespace: "nango" }, () => ({ contents: NANGO, loader: "js" }));
			bundler.onResolve({ filter: /^[^.\/]/ }, (args) => {
				if (MODULES.has(args.path)) return { path: args.path, external: true };
				return {
					errors: [{ text: `module "${args.path}" cannot be used: only relative files, nango, zod, crypto, url and buffer` }],
				};
			});
			bundler.onResolve({ filter: /^[.\/]/ }, (args) => {
				const target = join(args.resolveDir, args.path);
				if (relative(root, target).startsWith("..")) {
					return { errors: [{ text: `"${args.path}" is outside of the project` }] };
				}
				return undefined;
			});
		},
	};
}

function messageOf(error) {
	const list = error.errors ?? [];
	if (list.length === 0) return error.message;
	return list
		.slice(0, 5)
		.map(({ text, location }) => (location ? `${location.file}:${location.line}:${location.column + 1}: ${text}` : text))
		.join("\n");
}

// The CommonJS text of the function in `file`, with its source map inline.
export async function bundle(root, file) {
	try {
		const built = await build({
			absWorkingDir: root,
			entryPoints: [file],
			bundle: true,
			write: false,
			format: "cjs",
			platform: "node",
			target: "esnext",
			charset: "ascii",
			sourcemap: "inline",
			sourcesContent: false,
			treeShaking: true,
			logLevel: "silent",
			tsconfigRaw: { compilerOptions: { target: "esnext", useDefineForClassFields: true } },
			plugins: [plugin(root)],
		});
		return built.outputFiles[0].text;
	} catch (error) {
		throw new DeployError(messageOf(error));
	}
}

// zod of the project, or ours where it has none.
export function zodOf(root) {
	const inProject = createRequire(join(root, "package.json"));
	try {
		return { zod: inProject("zod"), require: inProject };
	} catch {
		const own = createRequire(join(dirname(fileURLToPath(import.meta.url)), "package.json"));
		return { zod: own("zod"), require: own };
	}
}

// Runs the module, without its functions, in a context of its own and answers its default export.
export function definitionOf(code, label, zod) {
	const own = createRequire(import.meta.url);
	const load = (name) => {
		if (!MODULES.has(name)) throw new DeployError(`${label}: module "${name}" cannot be used`);
		return name === "zod" ? zod : own(name.startsWith("node:") ? name : `node:${name}`);
	};
	const module = { exports: {} };
	const globals = { URL, URLSearchParams, Buffer, console, setTimeout, clearTimeout, TextEncoder, TextDecoder };
	const context = vm.createContext({ ...globals, module, exports: module.exports, require: load });
	try {
		// The time limit covers what runs inside of this call only.
		vm.runInContext(`(function (exports, require, module) {${code}\n})(exports, require, module)`, context, {
			filename: label,
			timeout: EVALUATION_MS,
		});
	} catch (error) {
		if (error instanceof DeployError) throw error;
		throw new DeployError(`${label}: the module cannot be loaded: ${error?.message ?? String(error)}`);
	}
	const definition = module.exports.default;
	if (definition === null || typeof definition !== "object" || !Object.values(WRAPPERS).includes(definition.type)) {
		throw new DeployError(`${label}: export default createAction(...), createSync(...) or createOnEvent(...)`);
	}
	if (typeof definition.exec !== "function") throw new DeployError(`${label}: the function has no exec`);
	return definition;
}

