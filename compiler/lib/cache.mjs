// Answers by the hash of what was asked.  Bounded in number and size; the one that was not used for longest goes first.
import { createHash } from "node:crypto";

// Equal for equal content, whatever the order of members.
export function keyOf(value) {
	const sorted = (_name, each) =>
		each !== null && typeof each === "object" && !Array.isArray(each)
			? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
			: each;
	return createHash("sha256").update(JSON.stringify(value, sorted)).digest("base64");
}

export class Cache {
	#entries = new Map();
	#size = 0;

	constructor({ maxEntries = 500, maxSize = 64 * 1000 * 1000 } = {}) {
		this.maxEntries = maxEntries;
		this.maxSize = maxSize;
	}

	get count() {
		return this.#entries.size;
	}

	get size() {
		return this.#size;
	}

	// The text that was put, or undefined.
	get(key) {
		const text = this.#entries.get(key);
		if (text === undefined) return undefined;
		this.#entries.delete(key);
		this.#entries.set(key, text);
		return text;
	}

	put(key, text) {
		const before = this.#entries.get(key);
		if (before !== undefined) this.#size -= before.length;
		this.#entries.delete(key);
		if (text.length > this.maxSize) return;
		this.#entries.set(key, text);
		this.#size += text.length;
		for (const [old, { length }] of this.#entries) {
			if (this.#entries.size <= this.maxEntries && this.#size <= this.maxSize) break;
			this.#entries.delete(old);
			this.#size -= length;
		}
	}
}
