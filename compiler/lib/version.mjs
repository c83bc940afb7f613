// What decides the output of the pipeline: part of the cache key of compiled code.
import ts from "typescript";

import { PIPELINE } from "./lower.mjs";

export const version = `${PIPELINE}/typescript-${ts.version}`;
