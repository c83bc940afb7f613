// What a response of type "stream" has for data: all of the body is here already, so it is one chunk.
import { define } from "./core.js";
import { enqueue } from "./jobs.js";

class Readable {
	#left;
	#encoding;
	#listeners = {};
	#flows = false;

	constructor(bytes) {
		this.#left = bytes;
		define(this, Symbol.asyncIterator, () => this.#chunks());
	}

	on(name, listener) {
		(this.#listeners[name] ??= []).push(listener);
		return name === "data" ? this.resume() : this;
	}

	once(name, listener) {
		const each = (value) => {
			this.off(name, each);
			listener.call(this, value);
		};
		return this.on(name, each);
	}

	off(name, listener) {
		this.#listeners[name] = (this.#listeners[name] ?? []).filter((each) => each !== listener);
		return this;
	}

	// Who listens is called after the code that asked has ended.
	resume() {
		if (!this.#flows) enqueue(() => this.#flow());
		this.#flows = true;
		return this;
	}

	read() {
		const bytes = this.#left;
		this.#left = undefined;
		if (bytes === undefined || bytes.length === 0) return null;
		return this.#encoding === undefined ? bytes : bytes.toString(this.#encoding);
	}

	setEncoding(encoding) {
		this.#encoding = encoding;
		return this;
	}

	destroy() {
		this.#left = undefined;
		return this;
	}

	pipe(target) {
		this.on("end", () => target.end());
		this.on("data", (chunk) => target.write(chunk));
		return target;
	}

	#emit(name, value) {
		(this.#listeners[name] ?? []).slice().forEach((each) => each.call(this, value));
	}

	#flow() {
		const chunk = this.read();
		if (chunk !== null) this.#emit("data", chunk);
		this.#emit("end");
		this.#emit("close");
	}

	async *#chunks() {
		const chunk = this.read();
		if (chunk !== null) yield chunk;
	}
}
Readable.prototype.addListener = Readable.prototype.on;
Readable.prototype.removeListener = Readable.prototype.off;

export const streamOf = (bytes) => new Readable(bytes);
