// Checks types with TypeScript 7's native compiler, in a process of its own with limits of time and memory.
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { Refusal } from "./refusal.mjs";

const LIMIT_MS = 20 * 1000;
const LIMIT_CPU_S = 30;
const LIMIT_KB = 4 * 1000 * 1000;
const MAX_OUTPUT = 1000 * 1000;
const MAX_MESSAGE = 600;

const load = createRequire(import.meta.url);
const sdk = join(dirname(fileURLToPath(import.meta.url)), "../../sdk");

// The package of the platform holds one program, statically linked; the one of the language only finds it.
function program() {
	const inside = createRequire(load.resolve("typescript-native/package.json"));
	return join(dirname(inside.resolve(`@typescript/typescript-${process.platform}-${process.arch}/package.json`)), "lib/tsc");
}

const zod = join(dirname(load.resolve("zod/package.json")), "index.d.cts");

// With globals of the runner instead of those of Node: what is not there is an error here already.
function settings(names) {
	return {
		compilerOptions: {
			target: "esnext",
			lib: ["es2023", "es2024.object", "es2024.collection", "es2024.promise"],
			module: "preserve",
			moduleResolution: "bundler",
			strict: true,
			skipLibCheck: true,
			noEmit: true,
			allowImportingTsExtensions: true,
			resolveJsonModule: true,
			types: [],
			typeRoots: [],
			paths: { zod: [zod], "zod/v4": [zod] },
		},
		files: [join(sdk, "index.d.ts"), join(sdk, "runtime.d.ts"), ...names.map((name) => `project/${name}`)],
	};
}

const REMEDIES = {
	2304: "declare or import the name; a run has the language, zod, URL, Buffer and timers, but not Node's process or the DOM",
	2307: "import relative files of the project, nango, zod, crypto, url, buffer or unzipper",
	2322: "change the value, or the type that is declared for it",
	2339: "use a property that the type has, or extend the type",
	2345: "change the argument to what the call expects",
	2551: "correct the spelling",
	2552: "correct the spelling",
	2554: "give as many arguments as the call expects",
	2580: "a run has no Node globals; environment variables come from nango.getEnvironmentVariables()",
	2584: "a run has no DOM and no Node globals",
	2591: "a run has no Node globals; environment variables come from nango.getEnvironmentVariables()",
	2589: "make the type less deep",
	2590: "make the type smaller",
	2741: "add the property that is missing",
	7006: "give the parameter a type",
	7031: "give the parameter a type",
	18046: "check what it is before it is used",
	18047: "check for null first",
	18048: "check for undefined first",
	2531: "check for null first",
	2532: "check for undefined first",
};

const LINE = /^(.+?)\((\d+),(\d+)\): error TS(\d+): (.*)$/;
const GLOBAL = /^error TS(\d+): (.*)$/;
const CLIPPED = (text) => (text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}...` : text);

// The advice about configuration is for other places than this one.
const ADVICE = / Do you need to (install type definitions|change your target library)\b.*$/s;

function refusal(code, message, at) {
	return new Refusal(CLIPPED(message.replace(ADVICE, "")), {
		...at,
		construct: `type error TS${code}`,
		remedy: REMEDIES[code] ?? "correct the type",
	});
}

function readDiagnostics(text) {
	const found = [];
	for (const line of text.split("\n")) {
		const match = LINE.exec(line);
		const global = match ? null : GLOBAL.exec(line);
		if (match) {
			const [, file, at, column, code, message] = match;
			found.push(refusal(code, message, { file: file.replace(/^project\//, ""), line: Number(at), column: Number(column) }));
		} else if (global) {
			found.push(refusal(global[1], global[2], {}));
		} else if (found.length > 0 && line.startsWith("  ") && found.at(-1).message.length < MAX_MESSAGE) {
			found.at(-1).message = CLIPPED(`${found.at(-1).message} ${line.trim()}`);
		}
	}
	return found;
}

async function write(folder, sources) {
	for (const [name, text] of sources) {
		const path = join(folder, "project", name);
		await mkdir(dirname(path), { recursive: true });
		await writeFile(path, text);
	}
	await writeFile(join(folder, "tsconfig.json"), JSON.stringify(settings([...sources.keys()].filter((name) => /\.[mc]?ts$/.test(name)))));
}

function execute(folder, signal) {
	return new Promise((resolve, reject) => {
		// The limits of the shell stay with the program, also when nobody is left to end it.
		const limits = `ulimit -t ${LIMIT_CPU_S}; ulimit -v ${LIMIT_KB}; exec "$0" "$@"`;
		const child = spawn("/bin/sh", ["-c", limits, program(), "-p", folder, "--pretty", "false", "--singleThreaded"], {
			cwd: folder,
			env: { GOMEMLIMIT: "1GiB", GOMAXPROCS: "2" },
			stdio: ["ignore", "pipe", "ignore"],
			signal,
			killSignal: "SIGKILL",
		});
		const parts = [];
		let size = 0;
		let late = false;
		const timer = setTimeout(() => {
			late = true;
			child.kill("SIGKILL");
		}, LIMIT_MS);
		child.stdout.on("data", (part) => {
			if (size < MAX_OUTPUT) parts.push(part);
			else child.kill("SIGKILL");
			size += part.length;
		});
		child.on("error", reject);
		child.on("close", (code) => {
			clearTimeout(timer);
			resolve({ code, late, full: size >= MAX_OUTPUT, text: Buffer.concat(parts).toString("utf8") });
		});
	});
}

function unchecked(entry, why, remedy) {
	return new Refusal(why, { file: entry, construct: "type check", remedy });
}

async function check(sources, entry, signal) {
	const folder = await mkdtemp(join(tmpdir(), "sluice-types-"));
	try {
		await write(folder, sources);
		const { code, late, full, text } = await execute(folder, signal);
		if (code === 0) return [];
		const found = readDiagnostics(text);
		if (late) return [unchecked(entry, "checking the types takes longer than 20 s", "make the types smaller, or compile without the type check")];
		if (found.length > 0) return found;
		return [unchecked(entry, full ? "the type errors are too many" : "the types are too large to check", "make the types smaller, or compile without the type check")];
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

// sources: Map of path -> text, all that the functions need; entry: the file to name when a check has no place.
// Answers { result: promise of a list of Refusals, stop() }.
export function checkTypes(sources, entry) {
	const controller = new AbortController();
	const result = check(sources, entry, controller.signal).catch((error) => {
		if (controller.signal.aborted) return [];
		return [unchecked(entry, `the type checker cannot run: ${error.message}`, "install the compiler's packages with npm ci, or compile without the type check")];
	});
	return {
		result,
		async stop() {
			controller.abort();
			await result;
		},
	};
}
