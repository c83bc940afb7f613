// Places in a TypeScript text that was printed anew, as places in the text that its author wrote.
//
// The published command line prints a file anew before it bundles it, without blank lines and with createAction(...)
// replaced by its object, so its source maps lead into a text that nobody has; the author's text is sent beside it.
// Both have the same nodes in the same order but for a few: these are found one after the other.
import ts from "typescript";

const MAX_TEXT = 1000 * 1000;
const AHEAD = 100; // nodes that one text may have and the other one not
const AGREE = 4; // nodes in a row that must be the same before the two go on together

function nodesOf(text) {
	const file = ts.createSourceFile("source.ts", text, ts.ScriptTarget.ESNext, false, ts.ScriptKind.TS);
	const out = [];
	const visit = (node) => {
		if (!ts.isParenthesizedExpression(node)) {
			out.push({ kind: node.kind, text: ts.isIdentifier(node) ? node.text : "", start: node.getStart(file) });
		}
		ts.forEachChild(node, visit);
	};
	ts.forEachChild(file, visit);
	return { file, nodes: out };
}

const same = (a, b) => a.kind === b.kind && a.text === b.text;

function agree(printed, written, i, j) {
	for (let n = 0; n < AGREE; n++) {
		if (i + n >= printed.length || j + n >= written.length) return n > 0 && i + n === printed.length && j + n === written.length;
		if (!same(printed[i + n], written[j + n])) return false;
	}
	return true;
}

// The smallest step on either side after which both agree, or null.
function resume(printed, written, i, j) {
	for (let sum = 1; sum <= AHEAD; sum++) {
		for (let a = 0; a <= sum; a++) {
			if (agree(printed, written, i + a, j + sum - a)) return [i + a, j + sum - a];
		}
	}
	return null;
}

// Pairs of the starts of nodes that both texts have, in their order.
function pairsOf(printed, written) {
	const pairs = [];
	let at = [0, 0];
	while (at !== null && at[0] < printed.length && at[1] < written.length) {
		const [i, j] = at;
		if (same(printed[i], written[j])) {
			pairs.push([printed[i].start, written[j].start]);
			at = [i + 1, j + 1];
		} else {
			at = resume(printed, written, i, j);
		}
	}
	return pairs;
}

// A function of a 1-based line and column of `printed` that answers those of the last node of `written` which starts
// there or before.  Null when the texts have nothing to do with each other, or are the same.
export function alignment(printed, written) {
	if (printed === written || printed.length > MAX_TEXT || written.length > MAX_TEXT) return null;
	const from = nodesOf(printed);
	const to = nodesOf(written);
	const pairs = pairsOf(from.nodes, to.nodes);
	if (pairs.length < from.nodes.length / 2) return null;
	return (line, column) => {
		const starts = from.file.getLineStarts();
		const offset = (starts[Math.min(line, starts.length) - 1] ?? 0) + column - 1;
		let low = 0;
		let high = pairs.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if (pairs[middle][0] <= offset) low = middle;
			else high = middle - 1;
		}
		const at = to.file.getLineAndCharacterOfPosition(pairs[low][1]);
		return { line: at.line + 1, column: at.character + 1 };
	};
}
