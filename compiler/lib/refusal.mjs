// A construct the runner cannot execute, found at compile time.  Line and column are 1-based and
// count in the text that was handed in.
export class Refusal extends Error {
	constructor(message, { line = 1, column = 1, construct = "source" } = {}) {
		super(message);
		this.name = "Refusal";
		this.line = line;
		this.column = column;
		this.construct = construct;
	}

	toJSON() {
		return {
			message: this.message,
			line: this.line,
			column: this.column,
			construct: this.construct,
		};
	}
}
