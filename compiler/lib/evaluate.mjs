// Reads the definition and the schemas of a bundled function: runs its module, without its functions, in a thread
// that has limits of time and memory and is replaced when it exceeds them.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";

import { build } from "esbuild";
import ts from "typescript";

import { Refusal } from "./refusal.mjs";

const LIMIT_MS = 5000;
const GRACE_MS = 3000;
const MEMORY_MB = 256;
const USES = 200;

const here = dirname(fileURLToPath(import.meta.url));
const SLOW = "loading the module and reading its schemas takes longer than 5 s";
const REASONS = {
	timeout: SLOW,
	memory: "loading the module and reading its schemas takes more than 256 MB",
	large: "the schemas are larger than 8 MB",
	broken: "the definition cannot be read",
};

let realmText;
async function realm() {
	realmText ??= build({
		entryPoints: [join(here, "realm.js")],
		bundle: true,
		write: false,
		format: "iife",
		target: "node18",
		charset: "ascii",
		minifyWhitespace: true,
		legalComments: "none",
		logLevel: "silent",
		plugins: [
			{
				name: "locales",
				setup(bundler) {
					bundler.onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents: "export {};" }));
				},
			},
		],
	}).then((built) => built.outputFiles[0].text);
	return realmText;
}

let thread = null;
let uses = 0;
let asked = 0;

async function start() {
	if (thread !== null && uses++ < USES) return thread;
	if (thread !== null) await thread.terminate();
	uses = 1;
	// For realms that are made from now on; the one of this thread exists already.
	setFlagsFromString("--disallow-code-generation-from-strings");
	thread = new Worker(join(here, "evaluator.mjs"), {
		workerData: { realm: await realm(), limit: LIMIT_MS },
		env: {},
		execArgv: [],
		stdin: true,
		stdout: true,
		stderr: true,
		resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
	});
	thread.on("error", () => {});
	return thread;
}

// Makes the first request as fast as the others.
export async function warm() {
	(await start()).unref();
}

function ask(worker, request) {
	return new Promise((resolve) => {
		const end = (outcome, lost) => {
			clearTimeout(timer);
			worker.off("message", onMessage).off("error", onError).off("exit", onExit);
			if (lost && thread === worker) thread = null;
			worker.unref();
			resolve(outcome);
		};
		const id = ++asked;
		const onMessage = (outcome) => {
			if (outcome.id === id) end(outcome, false);
		};
		const onError = (error) => end({ failed: error?.code === "ERR_WORKER_OUT_OF_MEMORY" ? "memory" : "broken" }, true);
		const onExit = () => end({ failed: "memory" }, true);
		const timer = setTimeout(() => {
			end({ failed: "timeout" }, true);
			worker.terminate().catch(() => {});
		}, LIMIT_MS + GRACE_MS);
		worker.on("message", onMessage).on("error", onError).on("exit", onExit);
		worker.ref();
		worker.postMessage({ ...request, id });
	});
}

// The module with a mark before each of its statements, and where these are.
function marked(code) {
	const file = ts.createSourceFile("function.js", code, ts.ScriptTarget.ESNext);
	const parts = [];
	const places = [];
	let from = 0;
	for (const statement of file.statements) {
		const start = statement.getStart(file);
		if (ts.isExpressionStatement(statement) && ts.isStringLiteral(statement.expression)) continue;
		parts.push(code.slice(from, start), `__mark(${places.length});`);
		const at = file.getLineAndCharacterOfPosition(start);
		places.push({ line: at.line + 1, column: at.character + 1 });
		from = start;
	}
	return { code: parts.join("") + code.slice(from), places };
}

// Where loading the module failed: it is loaded once more, with marks.
async function failedAt(code, suffix) {
	const { code: text, places } = marked(code);
	const { answer } = await ask(await start(), { code: text, suffix });
	const fault = answer === undefined ? undefined : JSON.parse(answer).fault;
	return places[fault?.mark] ?? null;
}

// code: the bundle; suffix: of the schemas' names; place(field): { file, line, column } of a field of the definition;
// trace(line, column): the place in the TypeScript of a place in the bundle, or null.
// Answers { definition, schemas }.
export async function evaluate(code, { suffix, place, trace }) {
	const outcome = await ask(await start(), { code, suffix });
	if (outcome.failed) {
		throw new Refusal(REASONS[outcome.failed], {
			...place(),
			construct: outcome.failed === "broken" ? "definition" : "module",
			remedy: "what is outside of exec runs when the function is deployed; make it short",
		});
	}
	const read = JSON.parse(outcome.answer);
	if (read.ok) return { definition: read.definition, schemas: read.schemas };
	const { message, field, remedy, construct, loading } = read.fault;
	const thrown = loading ? await failedAt(code, suffix) : null;
	const from = thrown === null ? null : trace(thrown.line, thrown.column);
	const at = from === null ? place(field) : { file: from.file, line: from.line, column: from.column };
	throw new Refusal(message, { ...at, construct, remedy });
}
