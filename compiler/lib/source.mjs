// The TypeScript of a function as a set of files in memory: which of them belong to it, and where its parts are.
import { posix } from "node:path";

import ts from "typescript";

import { MAX_CODE, MAX_SOURCE } from "./lower.mjs";
import { Refusal, placeOf, tooDeep, tooLarge } from "./refusal.mjs";

const MAX_FILES = 5000;
const MAX_PATH = 400;
const SOURCE = /\.(ts|mts|cts|js|mjs|cjs)$/;
const WRAPPERS = new Set(["createAction", "createSync", "createOnEvent"]);

// Bytes as text.  Throws a Refusal that names the place of the first byte that is no UTF-8.
export function decodeSource(bytes, file) {
	try {
		return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
	} catch {
		const text = bytes.toString("utf8");
		throw invalidText(text, text.indexOf("\ufffd"), file);
	}
}

export function invalidText(text, offset, file) {
	return new Refusal("the source is not UTF-8 from here on", {
		...placeOf(text, Math.max(0, offset)),
		file,
		construct: "encoding",
		remedy: "save the file as UTF-8",
	});
}

function validPath(path) {
	if (path === "" || path.length > MAX_PATH || path.startsWith("/") || /[\0-\x1f\\]/.test(path)) return false;
	return path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

// files: { path: text }.  Answers a Map, in the order of the paths.
export function checkFiles(files) {
	if (files === null || typeof files !== "object" || Array.isArray(files)) throw new Refusal("files is { path: text }", { construct: "request" });
	const names = Object.keys(files).sort();
	if (names.length > MAX_FILES) throw new Refusal(`the project has more than ${MAX_FILES} files`, { construct: "size", remedy: "send the files that the function needs" });
	const out = new Map();
	let total = 0;
	for (const name of names) {
		const text = files[name];
		if (typeof text !== "string") throw new Refusal(`${name.slice(0, MAX_PATH)} is not text`, { construct: "request" });
		if (!validPath(name)) {
			throw new Refusal(`"${name.slice(0, MAX_PATH)}" is no path of a project`, { construct: "request", remedy: 'use relative paths without "." and ".."' });
		}
		const broken = text.search(/\p{Surrogate}/u);
		if (broken >= 0) throw invalidText(text, broken, name);
		total += text.length;
		if (total > MAX_SOURCE) throw tooLarge(text, Math.max(0, text.length - (total - MAX_SOURCE)), "the project", name);
		out.set(name, text);
	}
	return out;
}

const isRelative = (specifier) => /^\.{0,2}\//.test(specifier) || specifier === "." || specifier === "..";

// The file that a relative import means, or undefined.  Answers null when it leaves the project.
export function resolveImport(files, from, specifier) {
	const target = specifier.startsWith("/") ? ".." : posix.join(posix.dirname(from), specifier);
	if (target === ".." || target.startsWith("../")) return null;
	const stem = target.replace(/\.(m|c)?js$/, ".$1ts");
	const bare = target.replace(/\/$/, "");
	const candidates = [target, stem, `${target}.ts`, `${target}.d.ts`, `${target}.js`, `${target}.json`, `${target}.mts`, `${bare}/index.ts`, `${bare}/index.js`];
	if (stem !== target) candidates.push(stem.replace(/\.ts$/, ".d.ts"));
	return candidates.find((path) => files.has(path));
}

export function outsideMessage(specifier) {
	return `"${specifier.slice(0, 200)}" is outside of the project`;
}

function specifierOf(node) {
	switch (node.kind) {
		case ts.SyntaxKind.ImportDeclaration:
		case ts.SyntaxKind.ExportDeclaration:
			return node.moduleSpecifier;
		case ts.SyntaxKind.ExternalModuleReference:
			return node.expression;
		case ts.SyntaxKind.ImportType:
			return node.argument.literal;
		case ts.SyntaxKind.CallExpression: {
			const { expression } = node;
			const imports = expression.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(expression) && expression.text === "require");
			return imports ? node.arguments[0] : undefined;
		}
		default:
			return undefined;
	}
}

export function placeIn(file, position) {
	const at = file.getLineAndCharacterOfPosition(position);
	return { file: file.fileName, line: at.line + 1, column: at.character + 1 };
}

// The first JSX of a text that is right when JSX is allowed, or undefined.
function jsxIn({ fileName, text }) {
	const file = ts.createSourceFile(fileName, text, ts.ScriptTarget.ESNext, false, ts.ScriptKind.TSX);
	const visit = (node) => (ts.isJsxElement(node) || ts.isJsxSelfClosingElement(node) || ts.isJsxFragment(node) ? node : ts.forEachChild(node, visit));
	return file.parseDiagnostics.length > 0 ? undefined : ts.forEachChild(file, visit);
}

function syntaxErrors(file) {
	const jsx = jsxIn(file);
	if (jsx !== undefined) {
		const remedy = "build the text or the object without JSX";
		return [new Refusal("JSX cannot be used here", { ...placeIn(file, jsx.getStart(file)), construct: "JSX", remedy })];
	}
	return file.parseDiagnostics.map(
		(each) =>
			new Refusal(ts.flattenDiagnosticMessageText(each.messageText, " "), {
				...placeIn(file, each.start ?? 0),
				construct: "syntax error",
				remedy: "correct the syntax here or just before",
			}),
	);
}

function parse(name, text) {
	if (text.length > MAX_CODE) throw tooLarge(text, MAX_CODE, "the file", name);
	return ts.createSourceFile(name, text, ts.ScriptTarget.ESNext, false);
}

function checkReferences(file) {
	const [reference] = [...file.referencedFiles, ...file.typeReferenceDirectives, ...file.libReferenceDirectives];
	if (reference === undefined) return;
	throw new Refusal("a reference directive cannot be used here", {
		...placeIn(file, reference.pos),
		construct: "reference directive",
		remedy: "import what you need; the types of nango and zod are known",
	});
}

function checkExport(file) {
	const found = file.statements.find((each) => ts.isExportAssignment(each) && each.isExportEquals);
	if (found === undefined) return;
	throw new Refusal("export = cannot be used for a function", { ...placeIn(file, found.getStart(file)), construct: "export =", remedy: "write export default" });
}

function importsOf(file) {
	const found = [];
	const visit = (node) => {
		const specifier = specifierOf(node);
		if (specifier && ts.isStringLiteralLike(specifier)) found.push({ text: specifier.text, position: specifier.getStart(file) });
		ts.forEachChild(node, visit);
	};
	ts.forEachChild(file, visit);
	return found;
}

function follow(files, file, each) {
	const path = resolveImport(files, file.fileName, each.text);
	if (path !== undefined && path !== null) return path;
	throw new Refusal(path === null ? outsideMessage(each.text) : `"${each.text.slice(0, 200)}" does not exist`, {
		...placeIn(file, each.position),
		construct: "import",
		remedy: "import files of the project by their relative path",
	});
}

// The files that `entries` need, themselves and declarations of globals included, and the parsed entries.
export function scan(files, entries) {
	const sources = new Map();
	const parsed = new Map();
	const declarations = [...files.keys()].filter((name) => name.endsWith(".d.ts"));
	const queue = [...entries, ...declarations];
	for (const entry of entries) {
		if (!files.has(entry)) throw new Refusal(`${entry} is not among the files`, { construct: "request" });
	}
	while (queue.length > 0) {
		const name = queue.pop();
		if (sources.has(name)) continue;
		const text = files.get(name);
		sources.set(name, text);
		if (!SOURCE.test(name)) continue;
		try {
			const file = parse(name, text);
			if (file.parseDiagnostics.length > 0) throw Refusal.of(syntaxErrors(file));
			checkReferences(file);
			for (const each of importsOf(file)) {
				if (isRelative(each.text)) queue.push(follow(files, file, each));
			}
			if (entries.includes(name)) {
				checkExport(file);
				parsed.set(name, file);
			}
		} catch (error) {
			if (error instanceof RangeError) throw tooDeep(text, name);
			throw error;
		}
	}
	return { sources, parsed };
}

const CHECKPOINT_CALLS = new Set(["getCheckpoint", "saveCheckpoint", "clearCheckpoint"]);

// Does the function's own file call nango's checkpoints?  What the published command line tells of a function.
export function usesCheckpoints(file) {
	const visit = (node) => {
		const callee = ts.isCallExpression(node) ? node.expression : undefined;
		const found =
			callee !== undefined &&
			ts.isPropertyAccessExpression(callee) &&
			ts.isIdentifier(callee.expression) &&
			callee.expression.text === "nango" &&
			CHECKPOINT_CALLS.has(callee.name.text);
		return found || ts.forEachChild(node, visit) === true || undefined;
	};
	return ts.forEachChild(file, visit) === true;
}

// A function (field) -> place, for what is wrong with a definition.
export function definitionPlaces(file) {
	let call;
	const visit = (node) => {
		if (call !== undefined) return;
		if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && WRAPPERS.has(node.expression.text)) call = node;
		else ts.forEachChild(node, visit);
	};
	ts.forEachChild(file, visit);
	return (field) => {
		const literal = call?.arguments[0];
		const [name] = (field ?? "").split(".");
		const member =
			literal && ts.isObjectLiteralExpression(literal)
				? literal.properties.find((each) => each.name && (ts.isIdentifier(each.name) || ts.isStringLiteral(each.name)) && each.name.text === name)
				: undefined;
		const node = member && ts.isPropertyAssignment(member) ? member.initializer : (member ?? call);
		return placeIn(file, node === undefined ? 0 : node.getStart(file));
	};
}
