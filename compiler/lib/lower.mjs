// Lowers the CommonJS bundle of one function to the ES5 that the runner's engine executes.
//
// One parse and one walk: the walk refuses what cannot run (naming construct, line, column and remedy) and
// rewrites what TypeScript leaves alone (regular expressions, long numbers, line separators in strings).
// Helpers such as __awaiter are globals of the runner's prelude and are not emitted here.
import ts from "typescript";

import { argumentsOfGenerator, keepArguments } from "./arguments.mjs";
import { lowerClasses, withoutHome } from "./classes.mjs";
import { inlineMap, tables } from "./maps.mjs";
import { MODULES, moduleRemedy } from "./modules.mjs";
import { lowerRegex, unsupportedRegex } from "./regex.mjs";
import { Refusal, tooDeep, tooLarge } from "./refusal.mjs";

// Part of the cache key of compiled code: raise it when the output changes for the same input.
export const PIPELINE = 5;
export const MAX_SOURCE = 50 * 1000 * 1000;
// What remains once the inline source map is gone: a function, its libraries and no data files.
export const MAX_CODE = 2 * 1000 * 1000;
// What it may become with the tables: a run has to hold it.
const MAX_OUTPUT = 8 * 1000 * 1000;

const K = ts.SyntaxKind;
const SOURCE_MAP = /^\/\/[#@] sourceMappingURL=data:[^\n]*$/gm;

const OPTIONS = {
	target: ts.ScriptTarget.ES5,
	module: ts.ModuleKind.CommonJS,
	moduleDetection: ts.ModuleDetectionKind.Legacy,
	downlevelIteration: true,
	noEmitHelpers: true,
	alwaysStrict: false,
	allowJs: true,
	esModuleInterop: true,
	removeComments: true,
	sourceMap: true,
	newLine: ts.NewLineKind.LineFeed,
	ignoreDeprecations: "5.0",
	noResolve: true,
	isolatedModules: true,
};

// Fields are defined, not assigned, as in Node: one without a value is there, and none runs a setter of its base.
const EXACT = { useDefineForClassFields: true };

// Removes what carries no code.  Lines keep their numbers.
export function stripSource(text) {
	let out = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
	if (out.startsWith("#!")) out = "//" + out;
	return out.includes("sourceMappingURL=data:") ? out.replace(SOURCE_MAP, "") : out;
}

function refuse(sourceFile, pos, construct, remedy) {
	const at = sourceFile.getLineAndCharacterOfPosition(pos);
	throw new Refusal(`${construct} cannot run here: ${remedy}`, {
		line: at.line + 1,
		column: at.character + 1,
		construct,
		remedy,
	});
}

function checkModule(file, node, argument) {
	if (!argument || !ts.isStringLiteralLike(argument)) {
		refuse(file, node.getStart(file), "require of a computed name", "write the module's name out");
	}
	if (!MODULES.has(argument.text)) {
		const name = argument.text.length > 120 ? argument.text.slice(0, 120) + "..." : argument.text;
		refuse(
			file,
			argument.getStart(file),
			`module "${name}"`,
			moduleRemedy(argument.text),
		);
	}
}

function checkCall(file, node) {
	const callee = node.expression;
	if (callee.kind === K.ImportKeyword) {
		refuse(file, node.getStart(file), "dynamic import", "import the module at the top of the file");
	}
	if (!ts.isIdentifier(callee)) return;
	if (callee.text === "require") checkModule(file, node, node.arguments && node.arguments[0]);
	else if (callee.text === "eval") {
		refuse(file, node.getStart(file), "eval", "code cannot be made from strings");
	} else if (callee.text === "Function") {
		refuse(file, node.getStart(file), "new Function", "code cannot be made from strings");
	}
}

function lowerRegexNode(file, node) {
	const text = node.text;
	const end = text.lastIndexOf("/");
	const pattern = text.slice(1, end);
	const flags = text.slice(end + 1);
	const construct = unsupportedRegex(pattern, flags);
	if (construct) {
		refuse(file, node.getStart(file), construct, "rewrite the expression without it");
	}
	let lowered;
	try {
		lowered = lowerRegex(pattern, flags);
	} catch (error) {
		refuse(file, node.getStart(file), "invalid regular expression", String(error.message));
	}
	if (lowered.pattern === pattern && lowered.flags === flags) return node;
	return ts.factory.createRegularExpressionLiteral(`/${lowered.pattern}/${lowered.flags}`);
}

// The engine rounds exact halves up where the standard says to even; 17 digits are never a half.
function lowerNumber(node) {
	const digits = node.text.replace(/[^0-9]/g, "");
	if (digits.length < 16) return node;
	const value = Number(node.text);
	if (!Number.isFinite(value)) return node;
	return ts.factory.createNumericLiteral(value.toPrecision(17));
}

function hasSeparator(text) {
	return text.includes("\u2028") || text.includes("\u2029");
}

// Built-in classes that make an object of their own when they are called by a class below them.
const FINAL = /^(ArrayBuffer|Buffer|DataView|Function|Object|RegExp|(Uint8|Int8|Uint16|Int16|Uint32|Int32|Float32|Float64|Uint8Clamped)Array)$/;

function checkHeritage(file, node) {
	const [base] = node.token === K.ExtendsKeyword ? node.types : [];
	if (base === undefined || !ts.isIdentifier(base.expression) || !FINAL.test(base.expression.text)) return;
	refuse(file, base.getStart(file), `class that extends ${base.expression.text}`, "keep the object in a field of the class");
}

function checkGenerator(file, node) {
	const found = argumentsOfGenerator(node);
	if (found !== undefined) refuse(file, found.getStart(file), "arguments in a generator", "take the parameters as ...args");
}

function checkNode(file, node) {
	switch (node.kind) {
		case K.CallExpression:
		case K.NewExpression:
			return checkCall(file, node);
		case K.ImportDeclaration:
		case K.ExportDeclaration:
			return node.moduleSpecifier && checkModule(file, node, node.moduleSpecifier);
		case K.WithStatement:
			return refuse(file, node.getStart(file), "with statement", "name the object instead");
		case K.VariableDeclarationList:
			return (node.flags & ts.NodeFlags.Using) === ts.NodeFlags.Using && refuse(file, node.getStart(file), "using declaration", "release it in a finally block");
		case K.HeritageClause:
			return checkHeritage(file, node);
		case K.FunctionDeclaration:
		case K.FunctionExpression:
		case K.MethodDeclaration:
			return checkGenerator(file, node);
		case K.BigIntLiteral:
			return refuse(file, node.getStart(file), "BigInt literal", "use a number or a string");
		default:
			return undefined;
	}
}

// What a module in the form of CommonJS has only inside of functions.
function checkTop(file, node) {
	if (node.kind !== K.AwaitExpression && !(node.kind === K.ForOfStatement && node.awaitModifier !== undefined)) return;
	refuse(file, node.getStart(file), "await outside of a function", "await inside of exec");
}

function rewriteNode(file, node) {
	switch (node.kind) {
		case K.RegularExpressionLiteral:
			return lowerRegexNode(file, node);
		case K.NumericLiteral:
			return lowerNumber(node);
		case K.StringLiteral:
			// A node without a position is printed with escapes, one with a position as it was typed.
			return hasSeparator(node.text) ? ts.factory.createStringLiteral(node.text) : node;
		default:
			return node;
	}
}

function syntaxError(file, diagnostic) {
	const at = file.getLineAndCharacterOfPosition(diagnostic.start ?? 0);
	return new Refusal(ts.flattenDiagnosticMessageText(diagnostic.messageText, " "), {
		line: at.line + 1,
		column: at.character + 1,
		construct: "syntax error",
	});
}

function walker(check) {
	return (context) => (file) => {
		if (file.parseDiagnostics.length > 0) throw syntaxError(file, file.parseDiagnostics[0]);
		let depth = 0;
		const visit = (node) => {
			check(file, node);
			if (depth === 0) checkTop(file, node);
			const inside = ts.isFunctionLike(node) ? 1 : 0;
			depth += inside;
			const out = rewriteNode(file, ts.visitEachChild(node, visit, context));
			depth -= inside;
			return out;
		};
		return ts.visitEachChild(file, visit, context);
	};
}

function transpile(text, fileName, check, options) {
	try {
		return ts.transpileModule(text, {
			fileName,
			reportDiagnostics: false,
			compilerOptions: { ...OPTIONS, ...options },
			transformers: { before: [walker(check), lowerClasses(refuse), keepArguments, keepIn, markPatterns] },
		});
	} catch (error) {
		if (error instanceof RangeError) throw tooDeep(text);
		throw error;
	}
}

const withoutMap = (out) => withoutHome(out.outputText).replace(/\n?\/\/# sourceMappingURL=[^\n]*\n?$/, "\n");

// Duktape takes an `in` inside of brackets in the head of a for for that of for-in, unless it stands in
// parentheses of its own; and for-of is lowered to such a head.
function keepIn(context) {
	const visit = (node) => {
		const inner = ts.visitEachChild(node, visit, context);
		const is = ts.isBinaryExpression(inner) && inner.operatorToken.kind === ts.SyntaxKind.InKeyword;
		return is && !ts.isPrivateIdentifier(inner.left) ? context.factory.createParenthesizedExpression(inner) : inner;
	};
	return (file) => ts.visitEachChild(file, visit, context);
}

// What a pattern takes apart stands in two pairs of parentheses, which cost nothing: by them the prelude tells
// "const { a } = u" from "const a = u.a" when u is undefined.
function markPatterns(context) {
	const { factory } = context;
	const visit = (node) => {
		const inner = ts.visitEachChild(node, visit, context);
		if (!ts.isVariableDeclaration(inner) || inner.initializer === undefined || !ts.isObjectBindingPattern(inner.name)) return inner;
		const { elements } = inner.name;
		if (elements.length === 0 || elements[0].dotDotDotToken !== undefined || elements[0].initializer !== undefined) return inner;
		const marked = factory.createParenthesizedExpression(factory.createParenthesizedExpression(inner.initializer));
		return factory.updateVariableDeclaration(inner, inner.name, inner.exclamationToken, inner.type, marked);
	};
	return (file) => ts.visitEachChild(file, visit, context);
}

// Lowers code of our own: nothing is refused.
export function lowerTrusted(text, fileName) {
	return withoutMap(transpile(text, fileName, () => {}));
}

// The refusal where the author wrote it.
function inSource(error, map) {
	const from = error instanceof Refusal && map !== null ? map.trace(error.line, error.column) : null;
	if (from !== null) Object.assign(error, { file: from.file, line: from.line, column: from.column });
	return error;
}

// source: the bundle, with its source map inline or without; name, integration: for the file name in messages;
// written: the TypeScript of the function's own file, if its bundler may have printed it anew.
// Returns ES5 text ending in the tables of maps.mjs, which the prelude reads when it prints a stack.
export function lower(source, { name = "function", integration = "integration", written } = {}) {
	if (typeof source !== "string") throw new Refusal("no source was given");
	if (source.length > MAX_SOURCE) throw tooLarge(source, MAX_SOURCE, "the source");
	const text = stripSource(source);
	if (text.length > MAX_CODE) throw tooLarge(text, MAX_CODE, "the code");
	const map = inlineMap(source);
	if (typeof written === "string") map?.correct((path) => path.startsWith(`${integration}/`) && path.endsWith(`/${name}.ts`), written);
	const fileName = `${name}-${integration}.js`.replace(/[^A-Za-z0-9_.-]/g, "_");
	try {
		const out = transpile(text, fileName, checkNode, EXACT);
		const code = withoutMap(out) + tables(out.sourceMapText, map);
		if (code.length > MAX_OUTPUT) throw new Refusal(`the compiled code is larger than ${MAX_OUTPUT} bytes`, { construct: "size", remedy: "import less, and write regular expressions without the flags u and v" });
		return code;
	} catch (error) {
		throw inSource(error, map);
	}
}
