// The modules that a function can use besides its own files: what the prelude's `require` answers.  The one list of
// them; tests/compiler/imports.test.mjs holds the prelude to it.
export const MODULES = new Set([
	"nango",
	"zod",
	"crypto",
	"node:crypto",
	"url",
	"node:url",
	"buffer",
	"node:buffer",
	"unzipper",
]);

// Other names of the same module.
export const ALIASES = { "zod/v4": "zod" };

const USABLE = "only relative files, nango, zod, crypto, url, buffer and unzipper can be used";
const REMEDIES = {
	soap: "send the envelope as XML with nango.post({ data: \"<soap:Envelope>...\" })",
	botbuilder: "call the Bot Framework's REST API with nango.post",
	"nango/experimental": "createFunction cannot be run yet: use createAction, createSync or createOnEvent",
	"nango/test": "keep tests out of what a function imports",
	fetch: "call the provider with nango.get, or any address with nango.uncontrolledFetch",
};
for (const name of ["axios", "node-fetch", "got", "undici", "http", "https"]) REMEDIES[name] = REMEDIES.fetch;
for (const name of ["zod/v3", "zod/mini", "zod/v4-mini", "zod/v4/core", "zod/locales"]) REMEDIES[name] = 'import from "zod"';

// What to do instead of using the module.
export function moduleRemedy(name) {
	const bare = name.replace(/^node:/, "");
	return Object.hasOwn(REMEDIES, bare) ? REMEDIES[bare] : USABLE;
}
