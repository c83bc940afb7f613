// Types of what a function finds besides the language, `nango` and `zod`: the globals of the runner and the parts of
// Node's modules that it has.  For projects without @types/node; with it, leave this file out.
type BufferEncoding = 'utf8' | 'utf-8' | 'latin1' | 'binary' | 'ucs2' | 'ucs-2' | 'utf16le' | 'utf-16le' | 'hex' | 'base64' | 'base64url' | 'ascii';

/** What is printed goes nowhere; use nango.log. */
declare const console: Record<
	| 'assert' | 'count' | 'debug' | 'dir' | 'error' | 'group' | 'groupCollapsed' | 'groupEnd' | 'info' | 'log'
	| 'table' | 'time' | 'timeEnd' | 'timeLog' | 'trace' | 'warn',
	(...data: any[]) => void
>;

/** zod, crypto, url and buffer; an import is checked, this is not. */
declare function require(module: string): any;

declare namespace NodeJS {
	interface Timeout {
		ref(): this;
		unref(): this;
		hasRef(): boolean;
		[Symbol.toPrimitive](): number;
	}
}
declare function setTimeout(callback: (nothing: void) => void, ms?: number): NodeJS.Timeout;
declare function setTimeout<T extends any[]>(callback: (...args: T) => void, ms?: number, ...args: T): NodeJS.Timeout;
declare function setInterval(callback: (nothing: void) => void, ms?: number): NodeJS.Timeout;
declare function setInterval<T extends any[]>(callback: (...args: T) => void, ms?: number, ...args: T): NodeJS.Timeout;
declare function clearTimeout(timer: NodeJS.Timeout | number | undefined | null): void;
declare function clearInterval(timer: NodeJS.Timeout | number | undefined | null): void;

declare function atob(data: string): string;
declare function btoa(data: string): string;

interface ErrorConstructor {
	captureStackTrace(target: object, constructor?: Function): void;
}

declare class URLSearchParams {
	constructor(init?: string | [string, string][] | string[][] | Iterable<[string, string]> | Record<string, string | readonly string[]> | URLSearchParams);
	append(name: string, value: string): void;
	delete(name: string, value?: string): void;
	get(name: string): string | null;
	getAll(name: string): string[];
	has(name: string, value?: string): boolean;
	set(name: string, value: string): void;
	sort(): void;
	forEach(callback: (value: string, name: string, params: URLSearchParams) => void, self?: any): void;
	keys(): IterableIterator<string>;
	values(): IterableIterator<string>;
	entries(): IterableIterator<[string, string]>;
	[Symbol.iterator](): IterableIterator<[string, string]>;
	readonly size: number;
	toString(): string;
}

declare class URL {
	constructor(url: string | URL, base?: string | URL);
	static canParse(url: string | URL, base?: string | URL): boolean;
	static parse(url: string | URL, base?: string | URL): URL | null;
	hash: string;
	host: string;
	hostname: string;
	href: string;
	readonly origin: string;
	password: string;
	pathname: string;
	port: string;
	protocol: string;
	search: string;
	readonly searchParams: URLSearchParams;
	username: string;
	toString(): string;
	toJSON(): string;
}

declare class TextEncoder {
	readonly encoding: 'utf-8';
	encode(text?: string): Uint8Array;
}

declare class TextDecoder {
	constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
	readonly encoding: string;
	decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}

declare class Headers {
	constructor(init?: Headers | [string, string][] | string[][] | Record<string, string>);
	append(name: string, value: string): void;
	delete(name: string): void;
	get(name: string): string | null;
	has(name: string): boolean;
	set(name: string, value: string): void;
	forEach(callback: (value: string, name: string, headers: Headers) => void, self?: any): void;
	keys(): IterableIterator<string>;
	values(): IterableIterator<string>;
	entries(): IterableIterator<[string, string]>;
	[Symbol.iterator](): IterableIterator<[string, string]>;
}

declare class Response {
	constructor(body?: string | ArrayBuffer | ArrayBufferView | null, options?: { status?: number; statusText?: string; headers?: Headers | Record<string, string> });
	readonly status: number;
	readonly statusText: string;
	readonly ok: boolean;
	readonly url: string;
	readonly redirected: boolean;
	readonly bodyUsed: boolean;
	readonly headers: Headers;
	text(): Promise<string>;
	json(): Promise<any>;
	arrayBuffer(): Promise<ArrayBuffer>;
	clone(): Response;
}

interface Buffer extends Uint8Array {
	toString(encoding?: BufferEncoding, start?: number, end?: number): string;
	toJSON(): { type: 'Buffer'; data: number[] };
	equals(other: Uint8Array): boolean;
	write(text: string, offset?: number, length?: number, encoding?: BufferEncoding): number;
	write(text: string, encoding?: BufferEncoding): number;
	subarray(start?: number, end?: number): Buffer & Uint8Array<ArrayBuffer>;
	slice(start?: number, end?: number): Buffer & Uint8Array<ArrayBuffer>;
	indexOf(value: string | number | Uint8Array, start?: number, encoding?: BufferEncoding): number;
	includes(value: string | number | Uint8Array, start?: number, encoding?: BufferEncoding): boolean;
	fill(value: string | number | Uint8Array, start?: number, end?: number, encoding?: BufferEncoding): this;
	readUInt8(offset?: number): number;
	readUInt16BE(offset?: number): number;
	readUInt16LE(offset?: number): number;
	readUInt32BE(offset?: number): number;
	readUInt32LE(offset?: number): number;
	readInt8(offset?: number): number;
	readInt16BE(offset?: number): number;
	readInt16LE(offset?: number): number;
	readInt32BE(offset?: number): number;
	readInt32LE(offset?: number): number;
}

declare const Buffer: {
	prototype: Buffer;
	from(text: string, encoding?: BufferEncoding): Buffer;
	from(bytes: ArrayBuffer | SharedArrayBuffer, offset?: number, length?: number): Buffer;
	from(data: Uint8Array | readonly number[] | ArrayLike<number> | Iterable<number> | { valueOf(): string | object }): Buffer;
	alloc(size: number, filler?: string | number | Uint8Array, encoding?: BufferEncoding): Buffer;
	allocUnsafe(size: number): Buffer;
	of(...bytes: number[]): Buffer;
	isBuffer(value: unknown): value is Buffer;
	isEncoding(name: string): name is BufferEncoding;
	byteLength(value: string | ArrayBuffer | ArrayBufferView, encoding?: BufferEncoding): number;
	compare(a: Uint8Array, b: Uint8Array): -1 | 0 | 1;
	concat(list: readonly Uint8Array[], total?: number): Buffer;
};

declare module 'crypto' {
	type Data = string | ArrayBuffer | ArrayBufferView;
	type DigestEncoding = 'hex' | 'base64' | 'base64url' | 'latin1' | 'binary';
	interface Digest {
		update(data: Data, encoding?: BufferEncoding): this;
		digest(): Buffer;
		digest(encoding: DigestEncoding): string;
	}
	type Hash = Digest;
	type Hmac = Digest;
	function createHash(algorithm: string): Hash;
	function createHmac(algorithm: string, key: Data): Hmac;
	function hash(algorithm: string, data: Data, encoding?: DigestEncoding): string;
	function randomBytes(size: number): Buffer;
	function randomBytes(size: number, callback: (error: Error | null, bytes: Buffer) => void): void;
	function randomInt(max: number): number;
	function randomInt(min: number, max: number): number;
	function randomUUID(): string;
	function timingSafeEqual(a: ArrayBuffer | ArrayBufferView, b: ArrayBuffer | ArrayBufferView): boolean;
	function getHashes(): string[];
	const crypto: {
		createHash: typeof createHash;
		createHmac: typeof createHmac;
		hash: typeof hash;
		randomBytes: typeof randomBytes;
		randomInt: typeof randomInt;
		randomUUID: typeof randomUUID;
		timingSafeEqual: typeof timingSafeEqual;
		getHashes: typeof getHashes;
	};
	export { type Hash, type Hmac, createHash, createHmac, crypto as default, getHashes, hash, randomBytes, randomInt, randomUUID, timingSafeEqual };
}

declare module 'url' {
	const URLClass: typeof URL;
	type URLClass = URL;
	const ParamsClass: typeof URLSearchParams;
	type ParamsClass = URLSearchParams;
	interface UrlObject {
		protocol?: string | null;
		slashes?: boolean | null;
		auth?: string | null;
		host?: string | null;
		port?: string | number | null;
		hostname?: string | null;
		hash?: string | null;
		search?: string | null;
		query?: any;
		pathname?: string | null;
		path?: string | null;
		href?: string;
	}
	function parse(text: string, parseQuery?: boolean): Required<UrlObject>;
	function format(value: UrlObject | URL | string): string;
	function resolve(from: string, to: string): string;
	const url: {
		URL: typeof URL;
		URLSearchParams: typeof URLSearchParams;
		parse: typeof parse;
		format: typeof format;
		resolve: typeof resolve;
	};
	export { URLClass as URL, ParamsClass as URLSearchParams, UrlObject, parse, format, resolve, url as default };
}

declare module 'buffer' {
	const BufferClass: typeof Buffer;
	type BufferClass = Buffer;
	const decode: typeof globalThis.atob;
	const encode: typeof globalThis.btoa;
	const buffer: { Buffer: typeof Buffer; atob: typeof globalThis.atob; btoa: typeof globalThis.btoa };
	export { BufferClass as Buffer, decode as atob, encode as btoa, buffer as default };
}

// Archives that are in memory; there are no streams and no files.
declare module 'unzipper' {
	interface File {
		path: string;
		type: 'Directory' | 'File';
		comment: string;
		flags: number;
		compressionMethod: number;
		compressedSize: number;
		uncompressedSize: number;
		crc32: number;
		lastModifiedDateTime: Date;
		isUnicode: boolean;
		buffer(): Promise<Buffer>;
	}
	interface CentralDirectory {
		files: File[];
		numberOfRecords: number;
		comment: string;
	}
	const Open: { buffer(data: Buffer): Promise<CentralDirectory> };
	const unzipper: { Open: typeof Open };
	export { CentralDirectory, File, Open, unzipper as default };
}

declare module 'node:crypto' {
	export * from 'crypto';
	export { default } from 'crypto';
}

declare module 'node:url' {
	export * from 'url';
	export { default } from 'url';
}

declare module 'node:buffer' {
	export * from 'buffer';
	export { default } from 'buffer';
}
