// zod, without locales and without code generation: the build leaves both out.
import * as zod from "zod/v4/classic/external.js";

zod.config({ jitless: true });

export { zod };
