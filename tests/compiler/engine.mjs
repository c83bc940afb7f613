// Runs functions under the real engine (the `duk` program of Debian's package duktape) with the prelude and a
// host written in JavaScript.  Time is virtual: timers fire in order, at once.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { lower } from "../../compiler/lib/lower.mjs";

const builder = fileURLToPath(new URL("../../compiler/bin/build-prelude.mjs", import.meta.url));
const hostFile = fileURLToPath(new URL("host.js", import.meta.url));

export const haveEngine = spawnSync("duk", ["--help"]).error === undefined;

const folder = mkdtempSync(join(tmpdir(), "sluice-prelude-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

let prelude;
function preludeText() {
	if (prelude === undefined) {
		const out = join(folder, "prelude.js");
		execFileSync(process.execPath, [builder, out]);
		prelude = readFileSync(out, "utf8");
	}
	return prelude;
}

const ascii = (value) =>
	JSON.stringify(value).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

let runs = 0;

// source: a CommonJS module in modern JavaScript; http: text of an ES5 function (meta, bodyText, attempt) that answers
// { status, headers, body } or { error }; ops: the same for other ops, by name; hashes: { "sha256:hex": hex };
// unicode: what ICU answers, by the JSON of the question.
// Answers { done: [ok, payloadText], calls, loadError, out }.
export function run(source, options = {}) {
	const file = join(folder, `run-${++runs}.js`);
	const setup = {
		code: options.lowered ?? lower(source, { name: "fn", integration: "pck" }),
		kind: options.kind ?? "action",
		hint: options.hint,
		input: options.input === undefined ? "" : JSON.stringify(options.input),
		inputText: options.inputText,
		context: {
			environmentName: "dev",
			environmentId: 1,
			connectionId: "conn",
			providerConfigKey: "pck",
			provider: "prov",
			functionName: "fn",
			jobId: "job",
			attempt: 1,
			variant: "base",
			loggerLevel: "warn",
			environmentVariables: null,
			...options.context,
		},
		hashes: options.hashes ?? {},
		unicode: options.unicode ?? {},
	};
	const ops = Object.entries(options.ops ?? {}).map(([name, text]) => `${JSON.stringify(name)}: ${text}`);
	const text = [
		`var SETUP = ${ascii(setup)};`,
		`var HTTP = ${options.http ?? "null"};`,
		`var OPS = {${ops.join(",\n")}};`,
		readFileSync(hostFile, "utf8"),
		preludeText(),
		"DRIVE(this);",
	].join("\n");
	writeFileSync(file, text);
	const ended = spawnSync("duk", [file], { encoding: "utf8", timeout: 60000, maxBuffer: 64 << 20 });
	if (ended.status !== 0) throw new Error(`duk failed: ${ended.stderr}${ended.stdout.slice(0, 2000)}`);
	const report = JSON.parse(ended.stdout);
	if (report.done && report.done[1] !== "") report.result = JSON.parse(report.done[1]);
	return report;
}

// The action whose exec has `body` as its statements.
export const action = (body, before = "") =>
	`"use strict"; ${before}\nexports.default = { type: "action", async exec(nango, input) { ${body} } };`;
