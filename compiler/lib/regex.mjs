// Regular expression literals, rewritten for an engine that knows ES5.1 patterns and the flags g, i, m.
//
// The flags u, v and s and property escapes are compiled away.  What has no ES5 equivalent is named in
// `unsupportedRegex`, so that the deploy fails instead of the run.
import rewritePattern from "regexpu-core";

const ES5_FLAGS = "gim";

// A cheap reading of the pattern: enough to tell groups from classes and escapes.
function scan(pattern) {
	const found = { named: false, lookbehind: false, modern: false };
	let inClass = false;
	for (let i = 0; i < pattern.length; i++) {
		const c = pattern[i];
		if (c === "\\") {
			const next = pattern[i + 1];
			if (next === "k" && pattern[i + 2] === "<") found.named = true;
			i++;
		} else if (inClass) {
			if (c === "]") inClass = false;
		} else if (c === "[") {
			inClass = true;
		} else if (c === "(" && pattern[i + 1] === "?") {
			const rest = pattern.slice(i + 2, i + 4);
			if (rest === "<=" || rest === "<!") found.lookbehind = true;
			else if (rest[0] === "<") found.named = true;
			else if (!":=!".includes(rest[0])) found.modern = true;
		}
	}
	return found;
}

// Returns the name of the construct that cannot run, or null.
export function unsupportedRegex(pattern, flags) {
	if (flags.includes("y")) return "sticky regular expression (flag y)";
	if (flags.includes("d")) return "regular expression match indices (flag d)";
	const found = scan(pattern);
	if (found.lookbehind) return "regular expression lookbehind";
	if (found.named) return "named group in a regular expression";
	if (found.modern) return "regular expression modifiers";
	return null;
}

const unit = (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0");

// Code units above ASCII become escapes, line separators among them.
function toAscii(pattern) {
	return pattern.replace(/\\[^]|[^\x20-\x7e]/g, (token) => {
		const c = token[token.length - 1];
		return c >= " " && c <= "~" ? token : unit(c);
	});
}

// Returns { pattern, flags } in ES5.1.  Throws SyntaxError for a broken pattern.
export function lowerRegex(pattern, flags) {
	let lowered = pattern;
	if (/[uvs]/.test(flags)) {
		lowered = rewritePattern(pattern, flags, {
			unicodeFlag: "transform",
			unicodeSetsFlag: flags.includes("v") ? "transform" : undefined,
			dotAllFlag: flags.includes("s") ? "transform" : undefined,
			unicodePropertyEscapes: "transform",
		});
	}
	return {
		pattern: toAscii(lowered),
		flags: [...flags].filter((f) => ES5_FLAGS.includes(f)).join(""),
	};
}
