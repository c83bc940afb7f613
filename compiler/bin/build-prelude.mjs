#!/usr/bin/env node
// build-prelude.mjs OUT.js: writes the runner's prelude.
import { writeFile } from "node:fs/promises";

import { buildPrelude } from "../lib/prelude.mjs";

const out = process.argv[2];
if (!out || process.argv.length !== 3) {
	console.error("usage: build-prelude.mjs OUT.js");
	process.exit(2);
}
try {
	await writeFile(out, await buildPrelude());
} catch (error) {
	console.error(`build-prelude: ${error.message}`);
	process.exit(1);
}
