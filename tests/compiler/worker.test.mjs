// The warm worker: one line in, one line out, whatever the line is.
import assert from "node:assert/strict";
import { test } from "node:test";

import { start } from "./rig.mjs";

const lower = (id, js) => ({ id, op: "lower", js, name: "fn", integration: "pck", type: "action" });

test("it says that it is ready, answers, and ends with its input", async () => {
	const worker = start();
	const ready = await worker.next();
	assert.equal(ready.ready, true);
	assert.match(ready.version, /typescript-5\.9\.3/);
	assert.deepEqual(await worker.ask({ id: 7, op: "ping" }), { id: 7, ok: true });
	const answer = await worker.ask(lower(8, "exports.default = async () => 'é😀'"));
	assert.equal(answer.ok, true);
	assert.match(answer.code, /__awaiter/);
	assert.equal(typeof answer.ms, "number");
	assert.equal(await worker.end(), 0);
});

test("it survives every bad source and goes on", async () => {
	const worker = start();
	await worker.next();
	const bad = ["(".repeat(10000), "let x = ;", "\u0000\ud800", "with(a){}", 5, null, "import('x')", "/[/", "}".repeat(1000)];
	for (const [i, js] of bad.entries()) {
		const answer = await worker.ask(lower(i, js));
		assert.equal(answer.id, i);
		assert.equal(answer.ok, false, String(js).slice(0, 40));
		assert.equal(typeof answer.error.message, "string");
		assert.equal(typeof answer.error.line, "number");
		assert.equal(typeof answer.error.column, "number");
		assert.ok(answer.error.construct);
	}
	for (const line of ["garbage", "null", "5", "[]", '{"op":"nope","id":1}', '{"id":2}', "{".repeat(5000)]) {
		assert.equal((await worker.ask(line)).ok, false, line.slice(0, 20));
	}
	assert.equal((await worker.ask(lower(99, "exports.a = 1"))).ok, true);
	assert.equal(await worker.end(), 0);
});

test("a line past the limit is refused under its own id, and the next one is read", async () => {
	const worker = start();
	await worker.next();
	const part = "x".repeat(1 << 20);
	worker.child.stdin.write('{"id":41,"op":"lower","js":"');
	for (let i = 0; i < 130; i++) {
		if (!worker.child.stdin.write(part)) await new Promise((resolve) => worker.child.stdin.once("drain", resolve));
	}
	const answer = await worker.ask('"}');
	assert.deepEqual([answer.id, answer.ok, answer.error.construct], [41, false, "size"]);
	assert.equal((await worker.ask({ id: 42, op: "ping" })).ok, true);
	assert.equal(await worker.end(), 0);
});
