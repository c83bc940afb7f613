// Node and the runner's engine answer the lines of expressions.txt alike; those marked "~ " differ, and must.
import assert from "node:assert/strict";
import { test } from "node:test";

import { haveEngine } from "./engine.mjs";
import { compareLines, differs, readGroups } from "./expressions.mjs";

process.env.TZ = "UTC";

for (const [claim, lines] of readGroups()) {
	test(claim, { skip: !haveEngine && "no duk" }, async () => {
		for (const { source, wanted, got } of await compareLines(lines)) {
			if (differs(source)) assert.notEqual(got, wanted, `${source}\nagrees now: take its mark away`);
			else assert.equal(got, wanted, source);
		}
	});
}
