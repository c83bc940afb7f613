#!/usr/bin/env node
// worker.mjs: compiles functions on request.  One JSON text per line, in and out, one request at a time:
//   {"id":1,"op":"lower","js":"...","ts":"...","name":"fn","integration":"pck","type":"action"}
//   {"id":1,"ok":true,"code":"...","ms":12,"cached":false}
//   {"id":2,"op":"compile","source":"...","name":"fn","integration":"pck","type":"action","typeCheck":true}
//   {"id":2,"op":"compile","files":{"pck/actions/fn.ts":"..."},"entry":"pck/actions/fn.ts","name":"fn","integration":"pck"}
//   {"id":2,"ok":true,"js":"...","code":"...","schemas":{...},"definition":{...},"map":{...},"ms":20,"cached":false}
// What fails: {"id":1,"ok":false,"error":{"message","file"?,"line","column","construct","remedy"?,"errors"?}}; file is the
// path of the TypeScript source, where it is known; errors lists all when there are several, the first included.
// An answer with "retire":true is the last one that this process should be asked for: it has grown.
// {"op":"ping"} is answered with ok.  The first line out is {"ready":true,"version":"..."}; end of input ends it.
import { Buffer, isUtf8 } from "node:buffer";
import { writeSync } from "node:fs";
import { getHeapStatistics } from "node:v8";

import { compile, lowerCached } from "../lib/compile.mjs";
import { warm } from "../lib/evaluate.mjs";
import { Refusal } from "../lib/refusal.mjs";
import { invalidText } from "../lib/source.mjs";
import { version } from "../lib/version.mjs";

// A source of 50 MB with escapes, and some room; a longer line is dropped as it arrives.
const MAX_LINE = 128 * 1000 * 1000;
const PAUSE_MS = 5;
// Resident beyond this after an answer: what a request needed is not given back.  The heap's limit is the caller's
// (--max-old-space-size); the reader of definitions, a thread, and the bundler's buffers are outside of it.
const MAX_RESIDENT = getHeapStatistics().heap_size_limit / 2 + 300 * 1000 * 1000;

const pause = new Int32Array(new SharedArrayBuffer(4));

// Standard input and output may be one non-blocking socket.
function write(bytes, at) {
	for (;;) {
		try {
			return writeSync(1, bytes, at);
		} catch (error) {
			if (error.code === "EPIPE" || error.code === "ECONNRESET") process.exit(0);
			if (error.code !== "EAGAIN") throw error;
			Atomics.wait(pause, 0, 0, PAUSE_MS);
		}
	}
}

function say(message) {
	const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
	for (let at = 0; at < bytes.length; ) at += write(bytes, at);
}

function errorOf(error) {
	if (error instanceof Refusal) return error.toJSON();
	if (error instanceof RangeError) {
		return { message: "the source is too large or too deep", line: 1, column: 1, construct: "size" };
	}
	return { message: `internal error of the compiler: ${error.message}`, line: 0, column: 0, construct: "internal" };
}

// Bytes that are no UTF-8 arrive as U+FFFD; the first of them is where the text broke.
function refuseBrokenText(request) {
	const texts = Object.entries(request?.files ?? { "": request?.source ?? request?.js });
	for (const [name, text] of texts) {
		const at = typeof text === "string" ? text.indexOf("\ufffd") : -1;
		if (at >= 0) throw invalidText(text, at, name === "" ? undefined : name);
	}
	throw new Refusal("the request is not UTF-8", { construct: "encoding" });
}

async function answer(request) {
	const started = process.hrtime.bigint();
	let out;
	switch (request?.op) {
		case "ping":
			return {};
		case "lower":
			out = lowerCached(request.js, { name: String(request.name), integration: String(request.integration), written: request.ts });
			break;
		case "compile":
			out = await compile(request);
			break;
		default:
			throw new Refusal(`unknown op "${String(request?.op)}"`, { construct: "request" });
	}
	return { ...out, ms: Number((process.hrtime.bigint() - started) / 1000000n) };
}

async function handle(bytes) {
	let request;
	try {
		request = JSON.parse(bytes.toString("utf8"));
	} catch {
		return { id: null, ok: false, error: { message: "the request is not JSON", line: 0, column: 0, construct: "request" } };
	}
	const id = request?.id ?? null;
	try {
		if (!isUtf8(bytes)) refuseBrokenText(request);
		return { id, ok: true, ...(await answer(request)) };
	} catch (error) {
		return { id, ok: false, error: errorOf(error) };
	}
}

function tooLong(head) {
	const id = /"id":\s*(\d+)/.exec(head);
	return {
		id: id ? Number(id[1]) : null,
		ok: false,
		error: { message: "the source is larger than 50 MB", line: 1, column: 1, construct: "size" },
	};
}

async function* lines() {
	let parts = [];
	let size = 0;
	for await (const chunk of process.stdin) {
		let from = 0;
		for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
			parts.push(chunk.subarray(from, at));
			size += at - from;
			from = at + 1;
			yield { parts, size };
			parts = [];
			size = 0;
		}
		size += chunk.length - from;
		if (size <= MAX_LINE || parts.length === 0) parts.push(chunk.subarray(from));
		else parts.length = 1;
	}
}

say({ ready: true, version });
// Of its own accord: nothing waits for it, and a request that needs it says what is wrong.
warm().catch(() => {});
try {
	for await (const { parts, size } of lines()) {
		if (size > MAX_LINE) {
			say(tooLong(parts[0].toString("latin1", 0, 200)));
		} else if (size > 0) {
			const reply = await handle(Buffer.concat(parts));
			say(process.memoryUsage.rss() > MAX_RESIDENT ? { ...reply, retire: true } : reply);
			// Whatever broke may be broken for good: the next request finds a fresh worker.
			if (reply.error?.construct === "internal") process.exit(1);
		}
	}
} catch (error) {
	if (error.code !== "ECONNRESET") throw error;
}
process.exit(0);
