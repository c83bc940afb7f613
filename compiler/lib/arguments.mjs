// `arguments` in an arrow function is that of the function around it; TypeScript's ES5 makes the arrow a function
// with one of its own.  Here the outer function keeps it in a variable and its arrows name that.
import ts from "typescript";

const K = ts.SyntaxKind;
const OWNERS = new Set([K.FunctionDeclaration, K.FunctionExpression, K.MethodDeclaration, K.Constructor, K.GetAccessor, K.SetAccessor]);

const isReference = (node, parent) =>
	node.kind === K.Identifier &&
	node.text === "arguments" &&
	!(parent.name === node && parent.kind !== K.ShorthandPropertyAssignment) &&
	!(parent.kind === K.PropertyAssignment && parent.initializer !== node);

// The first `arguments` below, without another function than arrows in between, or undefined; counts: one outside of
// an arrow counts too.
function findArguments(node, counts) {
	return ts.forEachChild(node, (child) => {
		if (isReference(child, node)) return counts ? child : undefined;
		if (OWNERS.has(child.kind)) return undefined;
		return findArguments(child, counts || child.kind === K.ArrowFunction);
	});
}

// The `arguments` of a generator, which its lowered form has not.
export function argumentsOfGenerator(node) {
	return OWNERS.has(node.kind) && node.asteriskToken !== undefined && node.body !== undefined ? findArguments(node.body, true) : undefined;
}

function unusedName(text) {
	let name = "_arguments";
	while (text.includes(name)) name = `_${name}`;
	return name;
}

function renameIn(root, name, context) {
	const { factory } = context;
	const step = (parent, inArrow) => (node) => {
		if (OWNERS.has(node.kind)) return node;
		if (inArrow && node.kind === K.ShorthandPropertyAssignment && node.name.text === "arguments") {
			return factory.createPropertyAssignment("arguments", factory.createIdentifier(name));
		}
		if (isReference(node, parent)) return inArrow ? factory.createIdentifier(name) : node;
		return ts.visitEachChild(node, step(node, inArrow || node.kind === K.ArrowFunction), context);
	};
	return ts.visitEachChild(root, step(root, false), context);
}

// original: a node of the source; TypeScript sees through async functions for these only.
function withVariable(body, name, original, { factory }) {
	const at = body.statements.findIndex((each) => !ts.isExpressionStatement(each) || !ts.isStringLiteral(each.expression));
	const first = at < 0 ? body.statements.length : at;
	const declared = factory.createVariableStatement(undefined, [
		factory.createVariableDeclaration(name, undefined, undefined, original),
	]);
	const statements = [...body.statements.slice(0, first), declared, ...body.statements.slice(first)];
	return factory.updateBlock(body, factory.createNodeArray(statements));
}

// A transformer for ts.transpileModule.
export function keepArguments(context) {
	return (file) => {
		if (!/\barguments\b/.test(file.text)) return file;
		const name = unusedName(file.text);
		const visit = (node) => {
			const original = OWNERS.has(node.kind) && node.body !== undefined ? findArguments(node.body, false) : undefined;
			const inner = ts.visitEachChild(node, visit, context);
			if (original === undefined) return inner;
			const body = withVariable(renameIn(inner.body, name, context), name, original, context);
			return ts.visitEachChild(inner, (child) => (child === inner.body ? body : child), context);
		};
		return ts.visitEachChild(file, visit, context);
	};
}
