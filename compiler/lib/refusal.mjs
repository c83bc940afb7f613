// What is wrong with a source, found at compile time.  Line and column are 1-based.  `file` is the path of the
// TypeScript source in its project; without it they count in the text that was handed in.
const MAX_LISTED = 20;

export class Refusal extends Error {
	constructor(message, { file, line = 1, column = 1, construct = "source", remedy } = {}) {
		super(message);
		this.name = "Refusal";
		this.file = file;
		this.line = line;
		this.column = column;
		this.construct = construct;
		this.remedy = remedy;
		this.all = [this];
	}

	// Several at once: the first one, which knows the others.
	static of(list) {
		const [first] = list;
		first.all = list.slice(0, MAX_LISTED);
		return first;
	}

	describe() {
		return {
			message: this.message,
			...(this.file === undefined ? {} : { file: this.file }),
			line: this.line,
			column: this.column,
			construct: this.construct,
			...(this.remedy === undefined ? {} : { remedy: this.remedy }),
		};
	}

	toJSON() {
		const own = this.describe();
		return this.all.length > 1 ? { ...own, errors: this.all.map((each) => each.describe()) } : own;
	}
}

// 1-based line and column of a character of the text; line ends as JavaScript counts them.
export function placeOf(text, offset) {
	const ends = /\r\n|[\n\r\u2028\u2029]/g;
	let line = 1;
	let start = 0;
	for (let end = ends.exec(text); end !== null && end.index + end[0].length <= offset; end = ends.exec(text)) {
		line++;
		start = end.index + end[0].length;
	}
	return { line, column: offset - start + 1 };
}

const OPENING = new Set("([{<");
const CLOSING = new Set(")]}>");
const DEEP = 200;

// Where brackets are nested deepest; the start when they are not deep.
export function deepestPlace(text) {
	let depth = 0;
	let deepest = DEEP;
	let at = 0;
	for (let i = 0; i < text.length; i++) {
		const c = text[i];
		if (OPENING.has(c)) {
			if (++depth > deepest) {
				deepest = depth;
				at = i;
			}
		} else if (CLOSING.has(c) && text[i - 1] !== "=" && depth > 0) {
			depth--;
		}
	}
	return placeOf(text, at);
}

export function tooDeep(text, file) {
	return new Refusal("the source is nested too deeply", {
		...deepestPlace(text),
		file,
		construct: "nesting",
		remedy: "split the expression or the type into named parts",
	});
}

export function tooLarge(text, limit, what, file) {
	return new Refusal(`${what} is larger than ${limit} bytes`, {
		...placeOf(text, limit),
		file,
		construct: "size",
		remedy: "import less, and keep data out of the code",
	});
}
