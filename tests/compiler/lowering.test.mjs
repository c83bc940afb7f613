// What functions are written with means the same after the lowering: each body runs in Node as it is and, lowered,
// under the engine with the prelude.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { bundle } from "../../compiler/lib/bundle.mjs";
import { lower } from "../../compiler/lib/lower.mjs";
import { checkFiles } from "../../compiler/lib/source.mjs";
import { haveEngine, run } from "./engine.mjs";
import { recordUnicode } from "./expressions.mjs";

const require = createRequire(new URL("../../compiler/package.json", import.meta.url));

// Bodies of async functions, in TypeScript; `log` is a list of their own.
const GROUPS = {
	"async functions, arrows and their this": [
		"const o = { n: 2, async f(this: any) { const g = async () => { await null; return this.n + arguments.length }; return await g() } }; return await (o.f as any)(1, 2)",
		"class A { x = 1; f = async (y: number) => { await 0; return this.x + y } } const { f } = new A(); return await f(4)",
		"const f = async function* () { try { yield 1; yield await Promise.resolve(2); } finally { log.push('end') } }; const out = []; for await (const v of f()) out.push(v); return [out, log]",
		"const results = await Promise.allSettled([1, Promise.reject(new Error('x')), Promise.resolve(3)]); return results.map((r: any) => r.status + (r.value ?? r.reason.message))",
		"async function f(n: number): Promise<number> { if (n === 0) throw new RangeError('deep'); try { return await f(n - 1) } finally { log.push(n) } } try { await f(3) } catch (e: any) { return [e.name, e.message, log] }",
		"async function f() { try { return 'try' } finally { await null; log.push('finally') } } return [await f(), log]",
		"async function f() { for (const x of [1, 2, 3]) { try { if (x === 2) continue; if (x === 3) break; log.push(x) } finally { await 0; log.push('f' + x) } } return log } return await f()",
		"async function f() { try { throw 1 } catch { try { await Promise.reject(2) } catch (e) { log.push(e) } finally { return log } } } return await f()",
		"const order: string[] = []; const p = (async () => { order.push('a'); await null; order.push('c') })(); order.push('b'); await p; return order",
		"const order: number[] = []; await Promise.all([1, 2, 3].map(async (n) => { for (let i = 0; i < n; i++) await null; order.push(n) })); return order",
		"const slow = (ms: number, v: any) => new Promise((r) => setTimeout(() => r(v), ms)); return [await Promise.race([slow(20, 'a'), slow(5, 'b')]), await Promise.any([Promise.reject(1), slow(1, 'c')])]",
		"const thenable = { then(resolve: (v: number) => void) { resolve(9) } }; return await (thenable as any)",
		"async function f(a: number, { b = a, c = b + 1 } = {} as any, ...rest: number[]) { await 0; return [a, b, c, rest] } return [await f(1), await f(1, { b: 5 }, 7, 8)]",
		"async function f() { return arguments.length + (await Promise.resolve(arguments[0])) } return await (f as any)(5, 6)",
		"async function f() { const x = [await 1, ...(await [2, 3])], y = { a: await 4, ...(await { b: 5 }) }; return [x, y, `${await 6}`, (await 7) ? await 8 : 0, (await null) ?? (await 9)] } return await f()",
		"let n = 0; const next = async () => ++n; const o: any = { v: 1 }; o.v += await next(); o[`k${await next()}`] = await next(); return o",
		"outer: for (let i = 0; i < 3; i++) { for await (const j of [0, 1, 2]) { if (j === 1) continue outer; if (i === 2) break outer; log.push([i, j]) } } return log",
		"async function f(x: string) { switch (await x) { case 'a': log.push('a'); case await Promise.resolve('b'): { const y = await 'b'; log.push(y); break } default: log.push('d') } } await f('a'); await f('b'); await f('z'); return log",
		"const f = async () => { throw Object.assign(new Error('m'), { code: 7 }) }; return await f().catch((e) => [e.message, e.code]).finally(() => log.push('x')).then((v: any) => [...v, log])",
		"do { await null; log.push(log.length) } while ((await log.length) < 3); while (await Promise.resolve(log.length < 5)) log.push('w'); return log",
	],
	"generators and iterators": [
		"function* g(): Generator<number, string, number> { const a = yield 1; const b = yield a * 2; return `r${b}` } const it = g(); return [it.next(), it.next(5), it.next(7), it.next()]",
		"function* g() { try { yield 1; yield 2 } finally { log.push('closed') } } for (const v of g()) { if (v === 1) break } return log",
		"function* g() { try { yield 1; yield 2 } finally { log.push('closed') } } const [a] = g(); return [a, log]",
		"function* g() { try { yield 1 } catch (e) { log.push(e); yield 'after' } } const it = g(); it.next(); return [it.throw('boom'), it.next(), log]",
		"function* g() { try { yield 1 } finally { yield 'cleanup' } } const it = g(); it.next(); return [it.return('r' as any), it.next(), it.next()]",
		"function* inner() { yield 'a'; return 'b' } function* outer(): any { const r = yield* inner(); yield r; yield* [1, 2]; yield* 'é😀' } return [...outer()]",
		"class Tree { constructor(public v: number, public kids: Tree[] = []) {} *[Symbol.iterator](): any { yield this.v; for (const k of this.kids) yield* k } } return [...new Tree(1, [new Tree(2, [new Tree(3)]), new Tree(4)])]",
		"const it = { from: 1, to: 4, [Symbol.iterator]() { let n = this.from; const to = this.to; return { next: () => (n <= to ? { value: n++, done: false } : { value: undefined, done: true }), return: () => { log.push('ret'); return { value: undefined, done: true } } } } }; const [x, y] = it; for (const v of it) { if (v === 2) break } return [x, y, [...it], Math.max(...it), Array.from(it, (v: any) => v * 2), log]",
		"const it = { async *[Symbol.asyncIterator]() { yield 1; yield 2 } }; const out: number[] = []; for await (const v of it) out.push(v); return out",
		"const it = { [Symbol.asyncIterator]() { let n = 0; return { next: async () => ({ value: n, done: n++ > 2 }), return: async () => { log.push('closed'); return { value: 0, done: true } } } } }; for await (const v of it as any) { if (v === 1) break } return log",
		"async function f(it: any) { for await (const v of it) { if (v === 2) return v } return -1 } async function* g() { try { yield 1; yield 2; yield 3 } finally { await 0; log.push('f') } } return [await f(g()), log]",
		"async function* g() { yield* (async function* () { yield 1; yield 2 })(); yield* [3, Promise.resolve(4)] } const out = []; for await (const v of g()) out.push(v); return out",
		"async function* g() { const a = yield 1; log.push(a); try { yield 2 } catch (e) { log.push(e) } return 'r' } const it = g(); return [await it.next(), await it.next('x' as any), await it.throw('t'), await it.next(), log]",
		"async function* g() { yield Promise.resolve(1); throw new Error('after') } try { for await (const v of g()) log.push(v) } catch (e: any) { log.push(e.message) } return log",
		"async function* pages() { let cursor: number | undefined = 0; do { const at: number = cursor; cursor = at < 2 ? at + 1 : undefined; yield [at, at * 10] } while (cursor !== undefined) } const all = []; for await (const [a, b] of pages()) all.push({ a, b }); return all",
		"for (const [k, v] of new Map<any, any>([['a', 1], ['b', { c: 2 }]])) log.push(k, v); for (const v of new Set([1, 1, 2])) log.push(v); for (const [i, c] of [...'xy'].entries()) log.push(i + c); return log",
		"const m = new Map([['a', 1]]); return [[...m], [...m.keys()], [...m.values()], { ...Object.fromEntries(m) }, [...new Set('hello')].join(''), Math.max(...new Set([3, 9]))]",
		"for (const x in { b: 1, a: 2, 1: 3 }) log.push(x); for (const i in ['p', 'q']) log.push(i); return log",
		"function f(this: any, ...args: any[]) { return [...args, this?.k] } const o = { k: 'K', f }; return [o.f(...[1, 2], 3, ...'ab'), (o as any)['f'](...new Set([4])), new (class { v; constructor(...a: number[]) { this.v = a } })(...[1, 2]).v, f.apply({ k: 1 }, [...[0]])]",
	],
	"destructuring in every position": [
		"const { a, b: { c = 5, ...d }, ...e } = { a: 1, b: { x: 2, y: 3 } as any, f: 4, g: 6 } as any; return [a, c, d, e]",
		"const [x = 1, , [y, ...z], ...w] = [undefined, 0, [2, 3, 4], 5, 6] as any; return [x, y, z, w]",
		"let a = 1, b = 2; [a, b] = [b, a]; const o: any = {}; ({ p: o.q, r: [o.s] } = { p: 3, r: [4] }); [o.t, o['u']] = [5, 6]; return [a, b, o]",
		"const f = ({ a = 1, b: { c } = { c: 2 } }: any = {}, [d = 3, e]: any[] = [], g = a + c + d) => [a, c, d, e, g]; return [f(), f({ a: 5, b: { c: 6 } }, [7, 8]), f(undefined, [undefined, 9], 10)]",
		"const key = 'k'; const { [key]: v, [`${key}2`]: w = 'dflt' } = { k: 1 } as any; return [v, w]",
		"for (const { id, tags: [first = 'none'] = [] } of [{ id: 1, tags: ['x'] }, { id: 2 }] as any[]) log.push([id, first]); return log",
		"try { throw { code: 5, detail: { why: 'w' } } } catch ({ code, detail: { why } }: any) { return [code, why] }",
		"const calls: string[] = []; const src = { get a() { calls.push('a'); return 1 }, get b() { calls.push('b'); return 2 } }; const { b, a } = src; return [calls, a, b]",
		"const f = (x = log.push('x'), y = (log.push('y'), x + 1), z = () => x) => { x = 10; return [x, y, z()] }; return [f(), f(5), log]",
		"try { const { a } = null as any; return a } catch (e: any) { return e instanceof TypeError }",
		"try { const [a] = {} as any; return a } catch (e: any) { return e instanceof TypeError }",
		"const { length } = 'four'; const [h, i] = 'hi'; const { 0: first, ...others } = ['p', 'q'] as any; return [length, h, i, first, others]",
		"const s = { ...null, ...undefined, ...'ab', ...[9], a: 1, ...{ a: 2, b: undefined } } as any; return [s, Object.keys(s)]",
		"const o = Object.defineProperty({ ...{ x: 1 } }, 'hidden', { value: 2, enumerable: false }); return [{ ...o }, Object.keys({ ...new (class { own = 1; get g() { return 2 } })() })]",
		"const [, , third = (() => { log.push('lazy'); return 'd' })()] = [1, 2, 3]; return [third, log]",
	],
	"classes": [
		"class A { a = 1; b = this.a + 1; static s = 's'; static t = A.s + '!'; ['c' + 1] = 3; 'quoted-name' = 4 } return [new A(), A.s, A.t]",
		"class A { #p = 1; #m() { return this.#p } get #g() { return this.#p * 10 } set #g(v) { this.#p = v } static #s = 5; static has(o: any) { return #p in o } bump() { this.#p++; this.#p += 2; this.#g = this.#g; return [this.#m(), this.#g, A.#s] } } return [new A().bump(), A.has(new A()), A.has({}), Object.keys(new A())]",
		"class A { static #count = 0; static { A.#count = 3; log.push('static') } static get count() { return A.#count } } return [A.count, log]",
		"class A { get v() { return 'A' } m(x: number) { return x } static s() { return 'sA' } } class B extends A { get v() { return super.v + 'B' } m(x: number) { return super.m(x) * 2 + super['m'](1) } static s() { return super.s() + 'B' } f = () => super.m(7) } return [new B().v, new B().m(4), B.s(), new B().f()]",
		"class A { constructor(readonly name: string) { log.push(new.target === A) } } class B extends A { x = this.name + '!'; constructor() { super('b'); log.push(this.x, new.target === B) } } new A('a'); new B(); return log",
		"function F(this: any) { return new.target === undefined ? 'call' : 'new' } return [(F as any)(), typeof new (F as any)()]",
		"const o = { get x() { return 1 }, set x(v) { log.push(v) }, ['m' + 1]() { return 2 }, async am() { return 3 }, *g() { yield 4 }, async *ag() { yield 5 }, 'a b': 6, 7: 8, __proto__: { inherited: 9 } }; o.x = 5; const ag = []; for await (const v of o.ag()) ag.push(v); return [o.x, (o as any).m1(), await o.am(), [...o.g()], ag, o['a b'], o[7], (o as any).inherited, log]",
		"class P { static create<T extends P>(this: new () => T) { return new this() } kind() { return 'P' } } class Q extends P { kind() { return 'Q' } } return [Q.create().kind(), P.create().kind(), Q.name, new Q().constructor.name, new Q() instanceof P]",
		"const M = <T extends new (...a: any[]) => object>(B: T) => class extends B { mixed = true }; class A { a = 1 } return new (M(A))()",
		"class E extends Error { code; constructor(m: string, code: number) { super(m); this.name = 'E'; this.code = code } toJSON() { return { m: this.message, c: this.code } } } const e = new E('x', 4); return [JSON.stringify(e), e instanceof E, e instanceof Error, `${e}`, Object.keys(e)]",
		"class M2 extends Map<string, number> { inc(k: string) { this.set(k, (this.get(k) ?? 0) + 1); return this } } return [...new M2().inc('a').inc('a').inc('b')]",
		"class A { set x(v: any) { log.push('setter') } get x() { return 'base' } } class B extends A { x = 'own' } class C { static n = 1; y } return [new B().x, log, Object.keys(new C()), Object.keys(C)]".replace("class B extends A { x", "class B extends (A as any) { x").replace("y }", "y: any }"),
		"class A { declare type: string; x?: number; y!: number; constructor() { this.y = 1 } } return [Object.keys(new A()), 'x' in new A()]",
		"class A { static instances = new Set<A>(); constructor() { A.instances.add(this) } [Symbol.toPrimitive](hint: string) { return hint === 'number' ? 42 : 'str' } get [Symbol.toStringTag]() { return 'Tagged' } } const a = new A(); return [+(a as any), `${a}`, Object.prototype.toString.call(a), A.instances.size]",
		"try { class A { constructor() { (this as any).m() } } new A(); } catch (e: any) { return e instanceof TypeError }",
		"class A { accessor x = 1; static accessor y = 2 } const a = new A(); a.x += 5; A.y++; return [a.x, A.y]",
	],
	"scopes and closures": [
		"const fs: any[] = []; for (let i = 0; i < 3; i++) { fs.push(() => i); fs.push(() => i++) } return [fs[0](), fs[1](), fs[0](), fs[2]()]",
		"const fs: any[] = []; for (const x of [1, 2]) for (const k in { a: 1, b: 2 }) { let y = x + k; fs.push(() => (y += '!')) } return fs.map((f) => f())",
		"const fs: any[] = []; outer: for (let i = 0; i < 3; i++) { for (let j = 0; j < 3; j++) { if (j === 1) continue outer; if (i === 2) break outer; fs.push(() => [i, j]) } } return fs.map((f) => f())",
		"const fs: any[] = []; let n = 0; while (n < 2) { const m = n++; fs.push(async () => { await 0; return m }) } return await Promise.all(fs.map((f) => f()))",
		"function f(x: number) { switch (x) { case 1: { let a = 'one'; return a } case 2: const b = 'two'; return () => b; default: let c = 'd'; return c } } return [f(1), (f(2) as any)(), f(3)]",
		"const fs: any[] = []; for (let i = 0; i < 3; i++) { switch (i) { case 1: continue; default: const k = i * 10; fs.push(() => k) } } return fs.map((f) => f())",
		"let a = 1; { let a = 2; { const a = 3; log.push(a) } log.push(a) } log.push(a); return log",
		"var v = 1; { var v = 2 } function f() { return g(); function g() { return v } } return f()",
		"const fs: any[] = []; for (let i = 0, n = 2; i < n; i++) { try { if (i) throw i; fs.push(() => i) } catch (e) { fs.push(() => ['c', e, i]) } finally { log.push(i) } } return [fs.map((f) => f()), log]",
		"const f = (function (this: any) { const g = () => [this.k, arguments[0]]; return g() }); return f.call({ k: 1 }, 2 as never)",
		"class A { m(...x: number[]) { return [1].map(() => (() => arguments.length + x.length)()) } static s() { return { get: () => ({ arguments }).arguments[0] } } } return [new A().m(5, 6), (A as any).s('a').get()]",
		"function f(..._a: any[]) { const inner = function (..._b: any[]) { return () => arguments[0] }; return [(() => arguments[1])(), inner('in')(), (async () => arguments.length)()] } return await Promise.all(f('a', 'b', 'c'))",
		"const o = { arguments: 5, f(..._a: any[]) { const g = () => [o.arguments, arguments.length, { arguments: 1 }.arguments]; return g() } }; return o.f(1, 2)",
		"function f() { for (const x of [1, 2, 3]) { const r = (() => { if (x === 2) return 'found' })(); if (r) return [r, x] } } return f()",
		"const fact = function self(n: number): number { return n < 2 ? 1 : n * self(n - 1) }; return [fact(5), typeof (globalThis as any).self2]",
		"let i = 0; const o = { get n() { return i++ } }; return [o.n, o.n, ((o as any)?.n)]",
		"label: { log.push(1); if (log.length) break label; log.push(2) } return log",
	],
	"operators and literals": [
		"const o: any = { a: null, f() { return this.a }, n: { m: [1] } }; return [o?.a?.b, o.x?.y.z, o.f?.(), o.g?.(), o?.['n']?.m?.[0], o.n?.m.at(-1), delete o?.a, o.a ?? 'gone']",
		"const o: any = { a: 0, b: null, c: '' }; o.a ||= 1; o.b ??= 2; o.c &&= 3; o.d ??= o.e ??= 4; return o",
		"return [2 ** 3 ** 2, (-2) ** 2, 7 % -3, -7 % 3, 5 / 2 | 0, 1 << 31, 1 >>> 0, ~~-5.7, 0.1 + 0.2, 1_000_000, 0b101, 0o17, 0xff, .5, 1e3, 5e-7]",
		"let x: any = 3; x **= 2; x <<= 1; x >>>= 1; return [x, x++ + ++x, typeof x, void 0, (1, 2), !!'' || 'or', null ?? 'nn', 0 ?? 'no']",
		"const tag = (s: TemplateStringsArray, ...v: any[]) => [s.raw.join('|'), s.join('|'), v]; return [tag`a${1}\\n${2}é`, tag``, String.raw`\\u0041${'x'}\\n`]",
		"return [`a${1 + 1}b${`n${'e'}sted`}`, `line\nbreak`, `\\u{1F600}`, '\\u{61}', `${[1, 2]}`, `${{}}`, `$\\{}`, '\\x41\\0']",
		"return [typeof null, typeof (() => 1), typeof Symbol(), typeof undefined, [] + '', [1] == (1 as any), null == undefined, NaN !== NaN, '10' > '9', ('10' as any) > 9]",
		"return [1 in [5, 6], 'a' in { a: 1 }, [] instanceof Array, delete ({ a: 1 } as any).a, ('b' + 'a' + +'a' + 'a').toLowerCase()]",
		"const s = Symbol('d'); const o = { [s]: 1, a: 2 }; return [o[s], Object.keys(o), JSON.stringify(o), s.description, Symbol.for('k') === Symbol.for('k'), s.toString()]",
		"const a = [1, , 3]; a[5] = 6; return [a.length, 1 in a, a.map((x) => x! * 2), a.findIndex((x) => x === undefined), [...a]]",
		"return [parseInt('08'), Number(''), Number(' 12 '), Number('1_0'), +[], +{}, +new Date(5), Number(null), (25).toString(2), (0.1).toFixed(20)]",
		"try { JSON.parse('{') } catch { log.push('caught') } finally { log.push('done') } return log",
		"const enumLike = { A: 'a', B: 'b' } as const; type V = (typeof enumLike)[keyof typeof enumLike]; const isV = (x: string): x is V => Object.values(enumLike).includes(x as V); return ['a', 'z'].filter(isV)",
		"var undef; return [undef?.x, (undef as any)?.[log.push(1)], log, [..., ].length]".replace("[..., ]", "[,]"),
	],
	"regular expressions": [
		"return ['a1b22'.replace(/\\d+/g, (m, at) => `<${m}@${at}>`), 'x-y_z'.split(/[-_]/), 'aBc'.match(/b/i)!.index, /(\\w)(\\d)?/.exec('a'), 'aaa'.lastIndexOf('a')]",
		"return [...'a1b2'.matchAll(/([a-z])(\\d)/g)].map((m) => [m[0], m[1], m[2], m.index])",
		"return ['a\\nb'.match(/a.b/s)?.[0], /^b$/m.test('a\\nb'), '😀x'.replace(/./u, 'y'), /\\u{1F600}/u.test('😀'), 'é'.normalize('NFD').replace(/[\\u0300-\\u036f]/g, ''), /\\p{L}+/u.exec('12héllo3')?.[0], /^\\p{Lu}/u.test('Éa'), 'a-b_c'.replace(/[^\\p{L}\\p{N}]+/gu, '.')]",
		"const re = /a/g; return [re.test('aa'), re.lastIndex, re.test('aa'), re.test('aa'), re.lastIndex, re.source, re.flags, String(/a\\/b/i)]",
		"return ['$1,234.50'.replace(/[^0-9.]/g, ''), 'a.b.c'.replaceAll('.', '-'), 'John Smith'.replace(/(\\w+)\\s(\\w+)/, '$2, $1 $& $$'), 'x'.replace('x', '$&$&'), 'aXbX'.split('X', 1), 'test'.search(/s/)]",
		"return [new RegExp('a+', 'gi').flags, new RegExp(/b/g).source, RegExp('[').source].length".replace("RegExp('[').source", "RegExp('c').source"),
		"try { new RegExp('(') } catch (e: any) { return [e.name, e instanceof SyntaxError] }",
		"return [/(?:a|b)+?c/.exec('abac')?.[0], /^(?=.*\\d)(?!.*x)\\w{3,}$/.test('ab1'), /\\bfoo\\b/.test('a foo b'), /[\\]\\\\^-]/.test(']'), /\\x41\\u0042/.test('AB'), /(a)|b/.exec('b')]",
	],
};

const REFUSED = {
	"arguments in a generator": ["function* g() {\n\tyield () => arguments[0];\n}", 2, 14],
	"class that extends RegExp": ["var a = class extends RegExp {};", 1, 23],
	"BigInt literal": ["var a = 1;\nvar b = 10n;", 2, 9],
	"sticky regular expression (flag y)": ["/a/y", 1, 1],
	"regular expression match indices (flag d)": ["var a = /a/d", 1, 9],
	"named group in a regular expression": ["/(?<a>b)/", 1, 1],
	"regular expression lookbehind": ["/(?<!a)b/", 1, 1],
	"with statement": ["with (a) b", 1, 1],
};
for (const [construct, [js, line, column]] of Object.entries(REFUSED)) {
	test(`refused, as it would mean something else: ${construct}`, () => {
		assert.throws(() => lower(js), (error) => {
			assert.deepEqual([error.construct, error.line, error.column], [construct, line, column]);
			return error.remedy.length > 0;
		});
	});
}

const FILE = "crm/actions/fn.ts";

async function bundleOf(bodies) {
	const list = bodies.map((body) => `async (input: any) => { const log: any[] = []; ${body}\n}`).join(",\n");
	const source = `const LIST: ((input: any) => Promise<any>)[] = [${list}];
export default { type: "action", async exec(nango: any, input: any) {
	const out: string[] = [];
	for (const f of LIST) {
		try { out.push(JSON.stringify((await f(input)) ?? null)) }
		catch (e: any) { out.push("threw " + e) }
	}
	return out;
} };`;
	return bundle(checkFiles({ [FILE]: source }), FILE);
}

for (const [claim, bodies] of Object.entries(GROUPS)) {
	test(claim, { skip: !haveEngine && "no duk" }, async () => {
		const js = await bundleOf(bodies);
		const module = { exports: {} };
		new Function("module", "exports", "require", js)(module, module.exports, require);
		const { out: expected, answers } = await recordUnicode(() => module.exports.default.exec({}, {}));
		const report = run(js, { lowered: lower(js, { name: "fn", integration: "crm" }), unicode: answers });
		assert.equal(report.loadError, null, JSON.stringify(report.loadError));
		assert.equal(report.done[0], true, report.done[1]);
		for (const [at, body] of bodies.entries()) {
			assert.ok(!expected[at].startsWith("threw"), `${body}\n${expected[at]}`);
			assert.equal(report.result[at], expected[at], body);
		}
	});
}
