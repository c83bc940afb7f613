// What decides the output of the pipeline: part of the cache key of compiled code.
import { createRequire } from "node:module";

import ts from "typescript";

import { PIPELINE } from "./lower.mjs";

const load = createRequire(import.meta.url);
const packaged = (name) => `${name}-${load(`${name}/package.json`).version}`;

export const version = `${PIPELINE}/typescript-${ts.version}/${packaged("typescript-native")}/${packaged("esbuild")}/${packaged("zod")}`;
