// What `require` finds.
import { G, define } from "./core.js";
import * as crypto from "./crypto.js";
import { ActionError } from "./failure.js";
import { format, parse, resolve } from "./legacy_url.js";
import { Open } from "./unzip.js";
import { URL, URLSearchParams } from "./url.js";
import { zod } from "./zod.js";

// A module as an object of plain properties: reading a namespace goes through a getter each time.
function flat(namespace) {
	const out = {};
	Object.keys(namespace).forEach((name) => {
		out[name] = namespace[name];
	});
	out.default = out;
	define(out, "__esModule", true);
	return out;
}

const typed = (type) => (definition) => Object.assign({ type }, definition);

const nango = flat({
	createAction: typed("action"),
	createSync: typed("sync"),
	createOnEvent: typed("onEvent"),
	ActionError,
});
const zodModule = flat(zod);
zodModule.z = zodModule;

const available = Object.assign(Object.create(null), {
	nango,
	zod: zodModule,
	crypto: flat(crypto),
	url: flat({ URL, URLSearchParams, parse, format, resolve }),
	unzipper: flat({ Open }),
	buffer: flat({ Buffer: G.Buffer, atob: G.atob, btoa: G.btoa }),
});

export function require(name) {
	const key = String(name).replace(/^node:/, "");
	const bare = key === "nango" || key === "zod" ? String(name) : key;
	if (available[bare] === undefined) throw new Error(`Module '${String(name)}' is not allowed`);
	return available[bare];
}
