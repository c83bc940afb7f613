#!/usr/bin/env node
// worker.mjs: lowers functions on request.  One JSON text per line, in and out, one request at a time:
//   {"id":1,"op":"lower","js":"...","name":"fn","integration":"pck","type":"action"}
//   {"id":1,"ok":true,"code":"...","ms":12} or {"id":1,"ok":false,"error":{"message","line","column","construct"}}
// {"op":"ping"} is answered with ok.  The first line out is {"ready":true,"version":"..."}; end of input ends it.
import { Buffer } from "node:buffer";
import { readSync, writeSync } from "node:fs";

import { lower } from "../lib/lower.mjs";
import { Refusal } from "../lib/refusal.mjs";
import { version } from "../lib/version.mjs";

// A source of 50 MB with escapes, and some room; a longer line is dropped as it arrives.
const MAX_LINE = 128 * 1000 * 1000;
const PAUSE_MS = 5;

const pause = new Int32Array(new SharedArrayBuffer(4));

// Standard input and output may be one non-blocking socket.
function retrying(operation) {
	for (;;) {
		try {
			return operation();
		} catch (error) {
			if (error.code === "EOF" || error.code === "ECONNRESET") return 0;
			if (error.code !== "EAGAIN") throw error;
			Atomics.wait(pause, 0, 0, PAUSE_MS);
		}
	}
}

function say(message) {
	const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
	let at = 0;
	while (at < bytes.length) at += retrying(() => writeSync(1, bytes, at));
}

function errorOf(error) {
	if (error instanceof Refusal) return error.toJSON();
	if (error instanceof RangeError) {
		return { message: "the source is too large or too deep", line: 1, column: 1, construct: "size" };
	}
	return { message: `internal error of the compiler: ${error.message}`, line: 0, column: 0, construct: "internal" };
}

function lowerRequest(request) {
	const started = process.hrtime.bigint();
	const code = lower(request.js, { name: String(request.name), integration: String(request.integration) });
	return { code, ms: Number((process.hrtime.bigint() - started) / 1000000n) };
}

function handle(line) {
	let request;
	try {
		request = JSON.parse(line);
	} catch {
		return { id: null, ok: false, error: { message: "the request is not JSON", line: 0, column: 0, construct: "request" } };
	}
	const id = request?.id ?? null;
	try {
		if (request?.op === "ping") return { id, ok: true };
		if (request?.op === "lower") return { id, ok: true, ...lowerRequest(request) };
		throw new Refusal(`unknown op "${String(request?.op)}"`, { construct: "request" });
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

function* lines() {
	const room = Buffer.allocUnsafe(1 << 16);
	let parts = [];
	let size = 0;
	for (;;) {
		const got = retrying(() => readSync(0, room, 0, room.length, null));
		if (got === 0) return;
		let from = 0;
		for (let at = room.indexOf(10); at >= 0 && at < got; at = room.indexOf(10, from)) {
			parts.push(Buffer.from(room.subarray(from, at)));
			size += at - from;
			from = at + 1;
			yield { bytes: parts, size };
			parts = [];
			size = 0;
		}
		size += got - from;
		if (size <= MAX_LINE || parts.length === 0) parts.push(Buffer.from(room.subarray(from, got)));
		else parts.length = 1;
	}
}

say({ ready: true, version });
for (const { bytes, size } of lines()) {
	if (size > MAX_LINE) say(tooLong(bytes[0].toString("latin1", 0, 200)));
	else if (size > 0) say(handle(Buffer.concat(bytes).toString("utf8")));
}
