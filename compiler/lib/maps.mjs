// Positions: source maps in, and the two tables that compiled code carries as comments at its end.
//
//   //# typescript=SOURCES;ENTRIES    line of the compiled code -> file:line:column of the TypeScript
//   //# lines=ENTRIES                 line of the compiled code -> line:column of the bundle
//
// The engine knows lines only, so there is one entry per line of compiled code, separated by commas, and it points
// at the first statement of its line.  A line number is the difference to that of the entry before; an empty entry
// repeats the entry before.  In the first table SOURCES are URI-encoded paths separated by "|", an entry is
// "line:column" or, where the file changes, "line:column:file" (index of the file), and "-" is a line
// without a source.  Stack traces print positions of the bundle, as Node does; the first table is for people.
import { alignment } from "./align.mjs";

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUE = new Int8Array(128).fill(-1);
for (let i = 0; i < BASE64.length; i++) VALUE[BASE64.charCodeAt(i)] = i;

const COMMA = 44;
const SEMICOLON = 59;
const MAX_SEGMENTS = 2 * 1000 * 1000;
const MAX_MAP_TEXT = 40 * 1000 * 1000;
const MAX_SOURCES = 1000;
const MAX_PATH = 400;
const INLINE = /^\/\/[#@] sourceMappingURL=data:application\/json[^,\n]*;base64,([A-Za-z0-9+/=]+)[^\S\n]*$/gm;

// Calls each(line, column, source, sourceLine, sourceColumn), all 0-based, for each segment that has a source.
// Throws RangeError for text that is none or has no end.
function readMappings(mappings, each) {
	const state = [0, 0, 0, 0];
	let line = 0;
	let field = 0;
	let value = 0;
	let shift = 0;
	let count = 0;
	const finish = () => {
		if (shift !== 0) throw new RangeError("a number of the source map has no end");
		if (field >= 4) each(line, state[0], state[1], state[2], state[3]);
		if (field > 0 && ++count > MAX_SEGMENTS) throw new RangeError("the source map has too many segments");
		field = 0;
	};
	for (let i = 0; i < mappings.length; i++) {
		const c = mappings.charCodeAt(i);
		if (c === COMMA) {
			finish();
		} else if (c === SEMICOLON) {
			finish();
			line++;
			state[0] = 0;
		} else {
			const digit = c < 128 ? VALUE[c] : -1;
			if (digit < 0 || shift > 30) throw new RangeError("the source map is broken");
			value += (digit & 31) * 2 ** shift;
			shift += 5;
			if (digit & 32) continue;
			if (field < 4) state[field] += value % 2 ? -Math.floor(value / 2) : value / 2;
			field++;
			value = 0;
			shift = 0;
		}
	}
	finish();
}

// A path as a project has it: no origin, no way out.
function tidy(path) {
	const text = String(path).replace(/^[a-z][a-z0-9+.-]*:(\/\/)?/i, "").replace(/\\/g, "/");
	const parts = text.split("/").filter((part) => part !== "" && part !== "." && part !== "..");
	return parts.join("/").slice(0, MAX_PATH) || "source.ts";
}

export class SourceMap {
	#lines = [];
	#texts = [];
	#corrections = new Map();

	// text: JSON.  Throws when it is no source map.
	constructor(text) {
		const map = JSON.parse(text);
		if (map === null || typeof map.mappings !== "string" || !Array.isArray(map.sources)) {
			throw new RangeError("no source map");
		}
		if (map.sources.length > MAX_SOURCES) throw new RangeError("the source map has too many sources");
		// What a bundler made itself has no file.
		this.sources = map.sources.map((path) => (/^nango:/.test(String(path)) ? null : tidy(path)));
		this.#texts = Array.isArray(map.sourcesContent) ? map.sourcesContent : [];
		readMappings(map.mappings, (line, column, source, sourceLine, sourceColumn) => {
			if (source < 0 || source >= this.sources.length || sourceLine < 0 || sourceColumn < 0) return;
			if (column < 0) return;
			(this.#lines[line] ??= []).push(column, source, sourceLine, sourceColumn);
		});
	}

	// text: what the author of the source that isEntry(path) is true for wrote, when it may differ from what the map knows.
	correct(isEntry, text) {
		const source = this.sources.findIndex((path) => path !== null && isEntry(path));
		const printed = this.#texts[source];
		try {
			const move = typeof printed === "string" ? alignment(printed, text) : null;
			if (move !== null) this.#corrections.set(source, move);
		} catch (error) {
			if (!(error instanceof RangeError)) throw error; // a text too deep to read: the map stands as it is
		}
	}

	// Where a 1-based position comes from: { source, file, line, column } or null.
	trace(line, column) {
		const list = this.#lines[line - 1];
		if (!list) return null;
		let low = 0;
		let high = list.length / 4 - 1;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if (list[middle * 4] <= column - 1) low = middle;
			else high = middle - 1;
		}
		const [, source, at, atColumn] = list.slice(low * 4, low * 4 + 4);
		if (this.sources[source] === null) return null;
		const place = this.#corrections.get(source)?.(at + 1, atColumn + 1) ?? { line: at + 1, column: atColumn + 1 };
		return { source, file: this.sources[source], ...place };
	}
}

// The map in the last sourceMappingURL comment, or null: a broken one is as good as none.
export function inlineMap(text) {
	if (!text.includes("sourceMappingURL=data:")) return null;
	let found = null;
	for (const match of text.matchAll(INLINE)) found = match[1];
	if (found === null || found.length > MAX_MAP_TEXT) return null;
	try {
		return new SourceMap(Buffer.from(found, "base64").toString("utf8"));
	} catch {
		return null;
	}
}

// mapText: the map that the lowering made.  [{ line, column } | null] by line of output, 0-based list.
export function firstPositions(mapText) {
	const { mappings } = JSON.parse(mapText);
	const out = [];
	for (let i = 0; i <= mappings.split(";").length - 1; i++) out.push(null);
	readMappings(mappings, (line, _column, _source, sourceLine, sourceColumn) => {
		out[line] ??= { line: sourceLine + 1, column: sourceColumn + 1 };
	});
	return out;
}

function bundleEntries(positions) {
	let last = 0;
	return positions
		.map((at) => {
			if (at === null) return "";
			const entry = `${at.line - last}:${at.column}`;
			last = at.line;
			return entry;
		})
		.join(",");
}

function sourceEntries(positions, map) {
	const used = new Map();
	let last = { line: 0, column: 0, source: -1 };
	let gone = true;
	const entries = positions.map((at) => {
		if (at === null) return "";
		const from = map.trace(at.line, at.column);
		if (from === null) {
			const first = !gone;
			gone = true;
			return first ? "-" : "";
		}
		gone = false;
		if (!used.has(from.source)) used.set(from.source, used.size);
		const entry = `${from.line - last.line}:${from.column}`;
		const changed = last.source !== from.source;
		last = from;
		return changed ? `${entry}:${used.get(from.source)}` : entry;
	});
	const files = [...used.keys()].map((source) => encodeURIComponent(map.sources[source]).replace(/%2F/g, "/"));
	return `${files.join("|")};${entries.join(",")}`;
}

// The comments for compiled code.  map: of the bundle, or null.
export function tables(mapText, map) {
	const positions = firstPositions(mapText);
	const source = map === null ? "" : `//# typescript=${sourceEntries(positions, map)}\n`;
	return `${source}//# lines=${bundleEntries(positions)}\n`;
}

// The text of one of the tables, or null.
export function tableOf(code, name) {
	const mark = `//# ${name}=`;
	const at = code.lastIndexOf(mark);
	if (at < 0) return null;
	const end = code.indexOf("\n", at);
	return code.slice(at + mark.length, end < 0 ? code.length : end);
}

// Entries up to a line, summed up: the position there, or null.
function position(entries, line) {
	let at = null;
	let count = 0;
	let file = 0;
	for (const entry of entries.split(",").slice(0, line)) {
		if (entry === "-") at = null;
		if (entry === "-" || entry === "") continue;
		const [difference, column, source] = entry.split(":").map(Number);
		count += difference;
		file = source ?? file;
		at = { line: count, column, file };
	}
	return at;
}

// What a 1-based line of compiled code comes from: { bundle: { line, column } | null, source: { file, line, column } | null }.
export function locate(code, line) {
	const lines = tableOf(code, "lines");
	const typescript = tableOf(code, "typescript");
	const bundle = lines === null ? null : position(lines, line);
	const out = { bundle: bundle && { line: bundle.line, column: bundle.column }, source: null };
	if (typescript !== null) {
		const at = typescript.indexOf(";");
		const files = typescript.slice(0, at).split("|").map(decodeURIComponent);
		const from = position(typescript.slice(at + 1), line);
		out.source = from && { file: files[from.file], line: from.line, column: from.column };
	}
	return out;
}
