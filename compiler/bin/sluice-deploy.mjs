#!/usr/bin/env node
// sluice-deploy.mjs PROJECT_DIR --env NAME [--host URL] [--key KEY] [--json] [--no-type-check]: deploys a project of
// functions.  --json: the answers on standard output, or {"errors":[...]} when the project has any.
// Exit codes: 0 deployed, 1 the project or the server refused, 2 usage, 3 the server could not be reached.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { DeployError, readProject } from "../lib/project.mjs";
import { report } from "../lib/report.mjs";

const USAGE = "usage: sluice-deploy PROJECT_DIR --env NAME [--host URL] [--key KEY] [--json] [--no-type-check]";
const TIMEOUT_MS = 120 * 1000;

class Unreachable extends Error {}

function readArguments() {
	const { values, positionals } = parseArgs({
		allowPositionals: true,
		options: {
			env: { type: "string" },
			host: { type: "string" },
			key: { type: "string" },
			json: { type: "boolean", default: false },
			"no-type-check": { type: "boolean", default: false },
		},
	});
	if (positionals.length !== 1 || !values.env) throw new TypeError("a directory and --env are needed");
	const variable = `NANGO_SECRET_KEY_${values.env.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`;
	const host = values.host ?? process.env.NANGO_HOSTPORT;
	const key = values.key ?? process.env[variable] ?? process.env.NANGO_SECRET_KEY;
	if (!host) throw new TypeError("name the server with --host or NANGO_HOSTPORT");
	if (!key) throw new TypeError(`give the secret key with --key or ${variable}`);
	return { directory: positionals[0], host: host.replace(/\/$/, ""), key, json: values.json, typeCheck: !values["no-type-check"] };
}

function describe(status, body) {
	const error = body?.error;
	if (!error) return `the server answered ${status}`;
	const issues = (error.errors ?? []).map(({ path, message }) => `\n  ${(path ?? []).join(".")}: ${message}`).join("");
	return `${error.code ?? status}: ${error.message ?? `the server answered ${status}`}${issues}`;
}

async function post(options, path, body) {
	let response;
	try {
		response = await fetch(options.host + path, {
			method: "POST",
			headers: {
				authorization: `Bearer ${options.key}`,
				"content-type": "application/json",
				"user-agent": "nango-cli/0.71.10 (sluice-deploy)",
			},
			body: JSON.stringify(body),
			signal: AbortSignal.timeout(TIMEOUT_MS),
		});
	} catch (error) {
		throw new Unreachable(`${options.host} cannot be reached: ${error.cause?.message ?? error.message}`);
	}
	const text = await response.text();
	let answer;
	try {
		answer = JSON.parse(text);
	} catch {
		throw new DeployError(`${path}: the server answered ${response.status} without JSON`);
	}
	if (!response.ok || answer.error) throw new DeployError(describe(response.status, answer));
	return answer;
}

const GROUPS = [
	["+", "newSyncs", "sync"],
	["+", "newActions", "action"],
	["+", "newOnEventScripts", "on-event"],
	["~", "updatedSyncs", "sync"],
	["~", "updatedActions", "action"],
	["~", "updatedOnEventScripts", "on-event"],
	["-", "deletedSyncs", "sync"],
	["-", "deletedActions", "action"],
	["-", "deletedOnEventScripts", "on-event"],
];

function printPlan(plan) {
	for (const [sign, list, kind] of GROUPS) {
		for (const each of plan[list] ?? []) console.log(`${sign} ${kind} ${each.providerConfigKey}/${each.name}`);
	}
	for (const model of plan.deletedModels ?? []) console.log(`- model ${model}`);
}

// The errors of the project, where its author looks for them.
function printRefusals(refusals, { directory, json }) {
	if (json) {
		console.log(JSON.stringify({ errors: refusals.map((each) => each.describe()) }));
		return;
	}
	const read = (file) => {
		try {
			return readFileSync(join(directory, file), "utf8");
		} catch {
			return undefined;
		}
	};
	console.error(report(refusals, { read, color: Boolean(process.stderr.isTTY) && !process.env.NO_COLOR }));
}

async function readOrReport(options) {
	try {
		return await readProject(options.directory, options);
	} catch (error) {
		if (!(error instanceof DeployError) || error.refusals.length === 0) throw error;
		printRefusals(error.refusals, options);
		process.exitCode = 1;
		return undefined;
	}
}

async function main() {
	const options = readArguments();
	const project = await readOrReport(options);
	if (project === undefined) return;
	const plan = await post(options, "/sync/deploy/confirmation", project);
	if (!options.json) printPlan(plan);
	const request = { ...project, reconcile: true, nangoYamlBody: "", source: "repo" };
	const deployed = await post(options, "/sync/deploy", request);
	if (!Array.isArray(deployed)) throw new DeployError("the server's answer is no list of functions");
	if (options.json) console.log(JSON.stringify({ plan, deployed }));
	else for (const { name, version } of deployed) console.log(`${name}@v${version}`);
}

try {
	await main();
} catch (error) {
	if (error instanceof TypeError || error.code?.startsWith("ERR_PARSE_ARGS")) {
		console.error(`sluice-deploy: ${error.message}\n${USAGE}`);
		process.exitCode = 2;
	} else if (error instanceof DeployError || error instanceof Unreachable) {
		console.error(`sluice-deploy: ${error.message}`);
		process.exitCode = error instanceof Unreachable ? 3 : 1;
	} else throw error;
}
