#!/usr/bin/env node
// bench/compile.mjs [ROUNDS] - what compiling costs: each function of tests/functions/project through one warm worker,
// as the daemon uses it.  Every source is made new for each request, so that no cache answers.
//
// Prints one line of key=value per measure, in milliseconds: cold (a new worker's first answer), lower (the bundle of
// a command line to code), compile without and with the type check, cached (the same request again), and deploy (a
// whole project read by our command line, its types checked at once, and all of its bundles lowered).
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { readProject } from "../compiler/lib/project.mjs";

const project = fileURLToPath(new URL("../tests/functions/project", import.meta.url));
const program = fileURLToPath(new URL("../compiler/bin/worker.mjs", import.meta.url));
const rounds = Number(process.argv[2] ?? 1);
const CHECKED = 20; // functions of the measure with types, which takes a process each

function start() {
	const child = spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "inherit"] });
	const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
	let id = 0;
	const next = async () => JSON.parse((await lines.next()).value);
	return {
		next,
		async ask(request) {
			child.stdin.write(`${JSON.stringify({ id: ++id, ...request })}\n`);
			return next();
		},
		residentMb: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))[1]) >> 10,
		end: () => child.stdin.end(),
	};
}

function show(what, times, more = {}) {
	const sorted = [...times].sort((a, b) => a - b);
	const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))].toFixed(1);
	const rest = Object.entries(more).map(([name, value]) => ` ${name}=${value}`);
	console.log(`${what} n=${sorted.length} median=${at(0.5)} p95=${at(0.95)} max=${at(1)}${rest.join("")}`);
}

async function timed(step) {
	const began = performance.now();
	const answer = await step();
	if (answer.ok === false) throw new Error(JSON.stringify(answer.error));
	return { took: performance.now() - began, answer };
}

// The folder with an index.ts that names every function.
function copyProject() {
	const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
	cpSync(project, folder, { recursive: true });
	const found = [];
	for (const integration of readdirSync(folder).sort()) {
		for (const [kind, type] of [["actions", "action"], ["syncs", "sync"], ["on-events", "on-event"]]) {
			if (!existsSync(join(folder, integration, kind))) continue;
			for (const file of readdirSync(join(folder, integration, kind)).sort()) {
				found.push({ integration, type, name: file.replace(/\.ts$/, ""), entry: `${integration}/${kind}/${file}` });
			}
		}
	}
	writeFileSync(join(folder, "index.ts"), found.map(({ entry }) => `import "./${entry.replace(/\.ts$/, ".js")}";`).join("\n"));
	return { folder, found };
}

// Every TypeScript file below a folder: path -> text.
function filesOf(folder, prefix = "") {
	return readdirSync(join(folder, prefix), { withFileTypes: true }).reduce((files, each) => {
		const path = prefix + each.name;
		if (each.isDirectory()) return { ...files, ...filesOf(folder, `${path}/`) };
		return path.endsWith(".ts") && path !== "index.ts" ? { ...files, [path]: readFileSync(join(folder, path), "utf8") } : files;
	}, {});
}

// Only what the function imports: what a caller would send.
function needed(files, entry) {
	const out = {};
	const add = (path) => {
		if (out[path] !== undefined || files[path] === undefined) return;
		out[path] = files[path];
		for (const [, specifier] of files[path].matchAll(/from ['"](\.[^'"]+)['"]/g)) {
			add(join(path, "..", specifier).replace(/\.js$/, ".ts"));
			add(join(path, "..", specifier, "index.ts"));
		}
	};
	add(entry);
	return out;
}

let edits = 0;
const renew = (text) => `${text}\n// ${++edits}\n`;

async function measure(folder, found) {
	const files = filesOf(folder);
	const requests = found.map(({ entry, ...names }) => ({ op: "compile", ...names, entry, files: needed(files, entry) }));
	const fresh = (request, typeCheck) => ({ ...request, typeCheck, files: { ...request.files, [request.entry]: renew(request.files[request.entry]) } });
	const cold = [];
	for (let i = 0; i < 3; i++) {
		const worker = start();
		const { took } = await timed(async () => (await worker.next(), worker.ask(fresh(requests[i], false))));
		cold.push(took);
		worker.end();
	}
	show("cold", cold);
	const worker = start();
	await worker.next();
	const times = { lower: [], compile: [], cached: [], checked: [] };
	for (const request of requests.slice(0, 20)) await worker.ask(fresh(request, false)); // the machine's compiler warms up too
	for (let round = 0; round < rounds; round++) {
		for (const request of requests) {
			const same = fresh(request, false);
			const first = await timed(() => worker.ask(same));
			times.compile.push(first.took);
			times.cached.push((await timed(() => worker.ask(same))).took);
			times.lower.push((await timed(() => worker.ask({ op: "lower", name: "fn", integration: "pck", js: renew(first.answer.js) }))).took);
		}
	}
	for (const request of requests.slice(0, CHECKED)) times.checked.push((await timed(() => worker.ask(fresh(request, true)))).took);
	show("lower", times.lower);
	show("compile types=no", times.compile);
	show("compile types=yes", times.checked);
	show("cached", times.cached, { worker_rss_mb: worker.residentMb() });
	worker.end();
}

// Some functions of the project are wrong on purpose; a deploy takes all or none.
async function leaveOutWrongTypes(folder) {
	try {
		await readProject(folder, { typeCheck: true });
	} catch ({ refusals }) {
		const wrong = new Set(refusals.map(({ file }) => `import "./${file.replace(/\.ts$/, ".js")}";`));
		const index = join(folder, "index.ts");
		writeFileSync(index, readFileSync(index, "utf8").split("\n").filter((line) => !wrong.has(line)).join("\n"));
	}
}

async function measureDeploy(folder) {
	const worker = start();
	await worker.next();
	for (const typeCheck of [false, true]) {
		if (typeCheck) await leaveOutWrongTypes(folder);
		const read = await timed(() => readProject(folder, { typeCheck }));
		const lowered = await timed(async () => {
			for (const { syncName, providerConfigKey, fileBody } of read.answer.flowConfigs) {
				await worker.ask({ op: "lower", name: syncName, integration: providerConfigKey, js: renew(fileBody.js) });
			}
			return {};
		});
		console.log(`deploy functions=${read.answer.flowConfigs.length} types=${typeCheck ? "yes" : "no"} read=${read.took.toFixed(0)} lower=${lowered.took.toFixed(0)}`);
	}
	worker.end();
}

const { folder, found } = copyProject();
try {
	await measure(folder, found);
	await measureDeploy(folder);
} finally {
	rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
