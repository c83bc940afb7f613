// What the lowering of classes to ES5 would lose: the names of class expressions, the object that an accessor above
// runs on, and a static [Symbol.hasInstance].
import ts from "typescript";

const K = ts.SyntaxKind;
const f = ts.factory;

// A member that no object has: `super.HOME` is lowered to the object that `super` looks in, and HOME, which
// withoutHome() then removes.
const HOME = "__sluiceHome";

export const withoutHome = (text) => text.replaceAll(`.${HOME}`, "");

const isSuper = (node) =>
	(ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) && node.expression.kind === K.SuperKeyword;

const keyOf = (node) => (ts.isPropertyAccessExpression(node) ? f.createStringLiteral(node.name.text) : node.argumentExpression);

const call = (name, ...args) => f.createCallExpression(f.createIdentifier(name), undefined, args);
const home = () => f.createPropertyAccessExpression(f.createSuper(), HOME);

const isNameless = (node) => node !== undefined && ts.isClassExpression(node) && node.name === undefined;

function named(node, name) {
	return f.updateClassExpression(node, node.modifiers, f.createIdentifier(name), node.typeParameters, node.heritageClauses, node.members);
}

function isHasInstance(node) {
	if (!ts.isMethodDeclaration(node) || !ts.isComputedPropertyName(node.name)) return false;
	const { expression } = node.name;
	if (!ts.isPropertyAccessExpression(expression) || expression.name.text !== "hasInstance") return false;
	if (!ts.isIdentifier(expression.expression) || expression.expression.text !== "Symbol") return false;
	return node.modifiers?.some((each) => each.kind === K.StaticKeyword) === true;
}

// An assignment would meet the read-only one of Function.prototype.
function defineHasInstance(node) {
	const value = f.createFunctionExpression(undefined, undefined, undefined, undefined, node.parameters, undefined, node.body);
	const descriptor = f.createObjectLiteralExpression([
		f.createPropertyAssignment("value", value),
		f.createPropertyAssignment("configurable", f.createTrue()),
	]);
	const define = f.createPropertyAccessExpression(f.createIdentifier("Object"), "defineProperty");
	const made = f.createCallExpression(define, undefined, [f.createThis(), node.name.expression, descriptor]);
	return f.createClassStaticBlockDeclaration(f.createBlock([f.createExpressionStatement(made)]));
}

// refuse(file, pos, construct, remedy): throws.
export function lowerClasses(refuse) {
	return (context) => (file) => {
		let inObject = false;

		function within(isObject, node) {
			const before = inObject;
			inObject = isObject;
			const out = ts.visitEachChild(node, visit, context);
			inObject = before;
			return out;
		}

		function check(node) {
			if (inObject) refuse(file, Math.max(node.pos, 0), "super in an object literal", "name the object that holds the method");
		}

		function visit(node) {
			if (ts.isClassLike(node)) return within(false, node);
			if (ts.isObjectLiteralExpression(node)) return visitObject(node);
			if (isHasInstance(node)) return defineHasInstance(ts.visitEachChild(node, visit, context));
			if (ts.isCallExpression(node) && isSuper(node.expression)) {
				check(node.expression);
				return ts.visitEachChild(node, (child) => (child === node.expression ? child : visit(child)), context);
			}
			if (ts.isBinaryExpression(node) && node.operatorToken.kind === K.EqualsToken && isSuper(node.left)) {
				check(node.left);
				return call("__superSet", home(), ts.visitNode(keyOf(node.left), visit), ts.visitNode(node.right, visit), f.createThis());
			}
			if (isSuper(node)) {
				check(node);
				return call("__superGet", home(), ts.visitNode(keyOf(node), visit), f.createThis());
			}
			const out = ts.visitEachChild(node, visit, context);
			if (ts.isVariableDeclaration(out) && ts.isIdentifier(out.name) && isNameless(out.initializer)) {
				const made = named(out.initializer, out.name.text);
				return f.updateVariableDeclaration(out, out.name, out.exclamationToken, out.type, made);
			}
			if (ts.isBinaryExpression(out) && out.operatorToken.kind === K.EqualsToken && ts.isIdentifier(out.left) && isNameless(out.right)) {
				return f.updateBinaryExpression(out, out.left, out.operatorToken, named(out.right, out.left.text));
			}
			return out;
		}

		// Functions that are values of properties have no super of their own; methods and accessors do.
		function visitObject(node) {
			return ts.visitEachChild(
				node,
				(member) => (ts.isMethodDeclaration(member) || ts.isAccessor(member) ? within(true, member) : visit(member)),
				context,
			);
		}

		return file.text.includes("class") || file.text.includes("super") ? ts.visitEachChild(file, visit, context) : file;
	};
}
