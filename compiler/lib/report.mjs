// Errors of a project for a terminal: each with its place, its line and what to do.
const MAX_SHOWN = 20;
const WIDTH = 160;
const STYLES = { bold: 1, red: 31, cyan: 36, dim: 2 };

const plain = (_style, text) => text;
const styled = (style, text) => `\x1b[${STYLES[style]}m${text}\x1b[0m`;
// What could steer a terminal is shown, not sent.
const visible = (text) => text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);

// The line and a caret below the column, cut to what fits.
function frame(text, { line, column }, style) {
	const source = text.split(/\r\n|[\n\r\u2028\u2029]/)[line - 1];
	if (source === undefined || source.trim() === "") return "";
	const from = column > WIDTH - 20 ? column - 1 - WIDTH / 2 : 0;
	const shown = visible(source.slice(from, from + WIDTH).replace(/\t/g, " "));
	const before = visible(source.slice(from, column - 1).replace(/\t/g, " ")).length;
	const number = String(line);
	return `${style("dim", `  ${number} | `)}${shown}\n${style("dim", `  ${" ".repeat(number.length)} | `)}${" ".repeat(before)}${style("red", "^")}\n`;
}

function entry(refusal, read, style) {
	const { file, line, column, message, remedy } = refusal;
	const text = file === undefined ? undefined : read(file);
	const place = file === undefined ? "" : `${style("cyan", visible(`${file}:${line}:${column}`))} - `;
	const lines = visible(message).split("\n").join("\n  ");
	const advice = remedy === undefined || message.includes(remedy) ? "" : `  remedy: ${visible(remedy)}\n`;
	return `${place}${style("red", "error")}: ${style("bold", lines)}\n${text === undefined ? "" : frame(text, refusal, style)}${advice}`;
}

// refusals: what was found; read(file): text or undefined.
export function report(refusals, { read, color = false }) {
	const style = color ? styled : plain;
	const order = (a, b) => (a.file ?? "").localeCompare(b.file ?? "", "en") || a.line - b.line || a.column - b.column;
	const sorted = [...refusals].sort(order);
	const parts = sorted.slice(0, MAX_SHOWN).map((each) => entry(each, read, style));
	const files = new Set(refusals.map(({ file }) => file)).size;
	const count = `${refusals.length} ${refusals.length === 1 ? "error" : "errors"} in ${files} ${files === 1 ? "file" : "files"}`;
	const rest = sorted.length > MAX_SHOWN ? `the first ${MAX_SHOWN} of ` : "";
	return `${parts.join("\n")}\n${rest}${count}`;
}
