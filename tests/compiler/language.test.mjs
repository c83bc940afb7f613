// What the prelude adds to the language answers as Node does: both run each case.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { haveEngine, run } from "./engine.mjs";
import { recordUnicode } from "./expressions.mjs";

process.env.TZ = "UTC";
const require = createRequire(new URL("../../compiler/package.json", import.meta.url));

const GROUPS = {
	"lists have the methods of ES2023": [
		"return [1,[2,[3,[4]]]].flat(Infinity)",
		"return [[1,2],[3]].flatMap(x => x)",
		"return [1,2,3].at(-1)",
		"return [1,2,3,NaN].includes(NaN)",
		"var a = ['a','b']; return [[...a.keys()], [...a.entries()], [...a.values()]]",
		"return Array.from({length:3}, (_, i) => i * 2)",
		"return Array.from(new Set([1,1,2]))",
		"return Array.from('a😀b')",
		"return Array.of(7, 8)",
		"return [5,12,8].find(x => x > 6) + [5,12,8].findIndex(x => x > 9) + [5,12,8].findLast(x => x > 6)",
		"return [5,12,8].findLastIndex(x => x === 99)",
		["return [3,1,2].toSorted().concat([1,2].toReversed(), [1,2,3].toSpliced(1, 1), [1,2].with(0, 9))", [1,2,3,2,1,1,3,9,2]],
		"return new Array(3).fill(0).map((_, i) => i)",
		"return [1,2,3,4,5].copyWithin(0, 3)",
		"return [3,undefined,1,,2].sort()",
		"return [10,9,1].sort()",
		"var l = []; for (var i = 0; i < 100; i++) l.push({k: i % 3, i}); return l.sort((a,b) => a.k - b.k).map(x => x.i)",
		"var l = []; for (var i = 0; i < 57; i++) l.push((i * 7919) % 101); return l.sort((a,b) => a - b)",
		"return [,1].findIndex(x => x === undefined)",
		"return [1,2,3].indexOf(2) + [1,2,3].lastIndexOf(3)",
		"return Object.keys([1,2].entries()).length",
		"var out = []; for (var [i, v] of ['a','b'].entries()) out.push(i + v); return out",
	],
	"objects have the methods of ES2023": [
		"return Object.entries({a:1,b:2})",
		"return Object.values('ab')",
		"return Object.fromEntries(new Map([['a', 1], ['__proto__', 2]]))",
		"return Object.fromEntries([['a', [1]]])",
		"var o = JSON.parse('{\"__proto__\":{\"x\":1},\"constructor\":2}'); return [o.x, ({}).x, Object.keys(o), JSON.stringify({...o}), Object.keys(Object.fromEntries(Object.entries(o)))]",
		"var {a, ...rest} = JSON.parse('{\"a\":1,\"__proto__\":{\"x\":1}}'); return [rest.x, JSON.stringify(rest)]",
		"return Object.hasOwn({a:1}, 'a')",
		"return Object.getOwnPropertyDescriptors({get a(){return 1}, b: 2}).b",
		"return Object.is(-0, 0)",
		"class A { static #n = 1; #p = 2; get p() { return this.#p + A.#n } static is(x) { return #p in x } } return [new A().p, A.is(new A()), A.is({})]",
		"class A { constructor(x) { this.x = x } m() { return 'A' + this.x } } class B extends A { m() { return super.m() + 'B' } } return new B(1).m()",
		"var o = {a: 1, get b() { return this.a + 1 }, ['c' + 1]: 3, m() { return 4 }}; return [o.b, o.c1, o.m()]",
		"return [null ?? 1, undefined?.x, ({a: {b: 1}}).a?.b, (() => { var x = null; x ??= 5; return x })(), 2 ** 10]",
		"function f(a, b = 2, ...c) { return [a, b, c] } return [f(1), f(1, undefined, 3, 4), f(...[1, 2, 3])]",
		"var t = (s, ...v) => s.raw.join('|') + v.join(','); return t`a${1}\\n${2}b`",
		"return Reflect.ownKeys({b: 1, a: 2, 1: 3})",
		"return new Proxy({a: 1}, { get: (t, k) => k in t ? t[k] : 'none' }).zzz",
	],
	"generators and iteration": [
		"function* g() { const x = yield 1; yield x * 2; return 9 } var i = g(); return [i.next(), i.next(4), i.next(), i.next()]",
		"function* g() { yield* [1, 2]; yield* 'ab' } return [...g()]",
		"function* g() { try { yield 1; yield 2 } finally { out.push('closed') } } var out = []; for (const x of g()) { out.push(x); break } return out",
		"var o = { *[Symbol.iterator]() { yield 1; yield 2 } }; return [...o, Math.max(...o)]",
		"async function* g() { yield 1; await null; yield 2 } var out = []; for await (const x of g()) out.push(x); return out",
		"var out = []; for await (const x of [Promise.resolve(1), 2]) out.push(x); return out",
		"async function* a() { yield 1; yield 2 } async function* b() { yield 0; yield* a() } var out = []; for await (const x of b()) out.push(x); return out",
		"async function* g() { try { yield 1 } finally { out.push('end') } } var out = []; for await (const x of g()) { out.push(x); break } return out",
		"var [a, , b = 5, ...c] = new Set([1, 2]); return [a, b, c]",
		"var out = []; outer: for (const i of [1,2,3]) { for (const j of [1,2]) { if (j === 2) continue outer; if (i === 3) break outer; out.push(i * 10 + j) } } return out",
		"var f = []; for (let i = 0; i < 3; i++) f.push(() => i); return f.map(x => x())",
		"var out = []; for (const k in {a: 1, b: 2}) out.push(k); return out",
		"return [...new Map([[1, 2]])].concat([...'é😀'])",
		"try { for (const x of 5) {} } catch (e) { return e instanceof TypeError }",
	],
	"promises keep Node's order": [
		"var out = []; Promise.resolve().then(() => out.push(1)); await null; out.push(2); return out",
		"var out = []; (async () => { out.push('a'); await null; out.push('b'); await null; out.push('d') })(); await null; out.push('c'); await null; await null; return out",
		"var out = []; await Promise.all([1,2,3].map(async n => { out.push('s' + n); await null; out.push('e' + n) })); return out",
		"return Promise.all([1, Promise.resolve(2), { then(r) { r(3) } }])",
		"return Promise.allSettled([Promise.reject(new Error('x')), 1]).then(l => l.map(x => x.status))",
		"return Promise.race([new Promise(r => setTimeout(r, 20, 'slow')), new Promise(r => setTimeout(() => r('fast'), 5))])",
		"return Promise.any([Promise.reject(1), Promise.resolve(2)])",
		"return Promise.any([Promise.reject(1)]).catch(e => [e.name, e.errors, e.message, e instanceof AggregateError])",
		"var out = []; await Promise.resolve(1).finally(() => out.push('f')).then(v => out.push(v)); return out",
		"try { await Promise.reject(new Error('no')) } catch (e) { return e.message }",
		"return [Object.keys(Promise.resolve()), JSON.stringify(Promise.resolve(1)), Object.prototype.toString.call(Promise.resolve())]",
		"var p = Promise.resolve(1); return Promise.resolve(p) === p",
		["var { promise, resolve } = Promise.withResolvers(); setTimeout(resolve, 1, 7); return promise", 7],
		"return Promise.reject(1).then(() => 'no', x => 'caught ' + x)",
		"var p = new Promise(r => r(new Promise(s => setTimeout(s, 1, 'inner')))); return p",
		"try { Promise() } catch (e) { return e.name }",
		"return new Promise((a, b) => { a(1); b(2); throw 3 })",
		"var out = []; var t = setInterval(() => { out.push(1); if (out.length === 3) clearInterval(t) }, 1); await new Promise(r => setTimeout(r, 50)); return out",
		"var hit = false; var t = setTimeout(() => { hit = true }, 1); clearTimeout(t); await new Promise(r => setTimeout(r, 9)); return hit",
	],
	"maps and sets": [
		"var m = new Map([[1, 'a'], ['1', 'b'], [NaN, 'n'], [null, 'x'], [undefined, 'u'], [-0, 'z']]); return [...m, m.get(0), m.get(NaN), m.size]",
		"var k = Object.freeze({}), l = {}; var m = new Map([[k, 1], [l, 2]]); return [m.get(k), m.get(l), m.get({}), m.delete(k), m.has(k), m.size]",
		"var s = new Set([1,2,3,4]); var out = []; s.forEach(x => { out.push(x); if (x < 3) s.delete(x + 1); if (x === 1) s.add(9) }); return out",
		"var s = new Set([1,2,3]); var out = []; for (const x of s) { out.push(x); s.delete(x); if (out.length < 6) s.add(x) } return out",
		"var m = new Map([['a', 1]]); var i = m.entries(); m.clear(); m.set('b', 2); return [...i]",
		"var o = {a: 1}; new Map([[o, 1]]); new WeakMap([[o, 1]]); return [Object.keys(o), JSON.stringify(o), Reflect.ownKeys(o), Object.getOwnPropertySymbols(o).length, {...o}]",
		"var w = new WeakMap(), k = {}; w.set(k, 5); return [w.get(k), w.has({}), w.get(1), w.delete(k), w.has(k)]",
		"var p = {}; var c = Object.create(p); var m = new Map([[p, 'p']]); return [m.has(c), m.set(c, 'c').get(p), m.get(c)]",
		"return Object.prototype.toString.call(new Map()) + Object.prototype.toString.call(new Set())",
		"class M extends Map { twice(k) { return this.get(k) * 2 } } return new M([[1, 4]]).twice(1)",
		"try { Map() } catch (e) { return e.name }",
		["return [...Map.groupBy([1,2,3], x => x % 2)]", [[1, [1, 3]], [0, [2]]]],
		"return JSON.stringify([new Map([[1,2]]), new Set([1])])",
		"return [...new Set('hello')].join('')",
		"var m = new Map(); for (var i = 0; i < 1000; i++) m.set('k' + i, i); for (i = 0; i < 1000; i += 2) m.delete('k' + i); return [m.size, [...m.keys()].slice(0, 3), m.get('k999')]",
	],
	"strings have the methods of ES2023": [
		"return ['5'.padStart(3, '0'), 'ab'.padEnd(5, 'xy'), '  x '.trimStart(), ' x  '.trimEnd(), 'abc'.at(-1)]",
		"return ['a.b.c'.replaceAll('.', '-'), 'aXbX'.replaceAll(/x/gi, m => m + '!'), 'aa'.replaceAll('', '_'), 'abc'.replaceAll('b', '[$&$`]')]",
		"return [...'a1b22'.matchAll(/([a-z])(\\d+)/g)].map(m => [m[0], m[1], m[2], m.index])",
		"return ['abc'.startsWith('b', 1), 'abc'.endsWith('c'), 'abc'.includes('d'), 'ab'.repeat(2)]",
		"return String.raw`a\\n${1}`",
		"return ['é😀'.length, [...'é😀'].length, '😀'.codePointAt(0), String.fromCodePoint(128512)]",
		"return ['é'.normalize('NFD').length, 'e\\u0301'.normalize('NFC'), 'Zoë Ångström'.normalize('NFD').replace(/[\\u0300-\\u036f]/g, ''), 'ế'.normalize('NFD').normalize()]",
		"return ['b', 'a', 'C', 'A', 'ä', '10', '9', '_x', 'z'].sort((x, y) => x.localeCompare(y))",
		"return ['item 10', 'item 9', 'Item 1'].sort((x, y) => x.localeCompare(y, undefined, { numeric: true, sensitivity: 'base' }))",
		"return ['a'.localeCompare('b'), 'a'.localeCompare('A', 'en', { sensitivity: 'base' }), 'résumé'.localeCompare('resume'), 'a'.localeCompare('a')]",
		"return ['a-b_c'.split(/[-_]/), 'x'.split(''), 'a,b'.split(',', 1)]",
		"return [encodeURIComponent('é 😀&'), decodeURIComponent('%F0%9F%98%80'), encodeURI('a b?c=é')]",
		["return 'ab\\ud800'.isWellFormed() + '\\ud800x'.toWellFormed()", "false\ufffdx"],
		"return [/\\p{Lu}/u.test('É'), 'x😀y'.replace(/./gu, '.'), /a.b/s.test('a\\nb'), /^[\\w.]+$/i.test('A.b')]",
		"return (12.5).toString(2) + (255).toString(16) + (1e21 + 1) + 0.1 + 1 / 3 + 5e-324 + (-0)",
		"return [(1234.5678).toFixed(2), (0.000001).toString(), (1e21).toFixed(2), (25).toString(36), Number('0b11'), Number('0o17'), parseInt('12px'), Number('')]",
		"return [(1234567.891).toLocaleString(), (0.5).toLocaleString(), (1234.5).toLocaleString('en-US', { minimumFractionDigits: 2 }), (-1e6).toLocaleString()]",
	],
	"numbers and JSON are Node's": [
		"return JSON.parse('[9007199254740993,12345678901234567890,1e400,-0,0.1,1.0,1e21,5e-324,123456789012345678]').map(String)",
		"return 9007199254740993 + ' ' + 0xffffffffffffff + ' ' + 1_000_000",
		"return JSON.parse('{\"a\":\"9007199254740993, 9007199254740993\",\"b\":9007199254740993,\"c\":\"\\\\\"9007199254740993\",\"d\":[9007199254740995]}')",
		"return [9007199254740993, 9007199254740995, 9007199254740997, 1152921504606846977, 1152921504606847104, 1152921504606847105].map(x => JSON.parse(String(x)))",
		"return JSON.stringify({a: undefined, b: () => 1, c: Symbol('x'), d: NaN, e: new Date(0), f: [undefined], g: Infinity, h: -0})",
		"return JSON.stringify({a: [1, {b: 2}]}, null, 2) + JSON.stringify({a: 1, b: 2}, ['b'])",
		"return JSON.parse('{\"a\":[1,2]}', (k, v) => typeof v === 'number' ? v + 1 : v)",
		"return ['', '{', '[1,]', '{a:1}', 'nul', '1 2', '\"\\t\"', '01', '{\"a\":1,}'].map(t => { try { JSON.parse(t); return 'ok' } catch (e) { return e.name } })",
		"return '\\u0000\\u2028\\ufffe\\u202e é😀'",
		"return [Math.trunc(-1.5), Math.sign(-3), Math.hypot(3, 4), Math.cbrt(27), Math.log2(8), Math.fround(5.5), Math.clz32(1), Math.max(), Math.tanh(0)]",
		"return [Number.isInteger(5.0), Number.isSafeInteger(2 ** 53), Number.EPSILON > 0, Number.MAX_SAFE_INTEGER, Number.parseFloat('1.5')]",
		"var x = []; for (var i = 0; i < 200; i++) x.push(Math.random()); return [x.every(v => v >= 0 && v < 1), new Set(x).size]",
		"return [BigInt('9007199254740993') > BigInt('9007199254740992'), BigInt(5) === BigInt('5'), String(BigInt('12345678901234567890')), `${BigInt(7)}`, BigInt('10') < 9, Number(BigInt('42'))]",
	],
	"errors of classes": [
		"class E extends Error { constructor(m, c) { super(m); this.name = 'E'; this.c = c } get x() { return this.c * 2 } } var e = new E('m', 2); return [e instanceof E, e instanceof Error, e.name, e.message, e.x, String(e), Object.keys(e), Object.prototype.toString.call(e), e.stack.split('\\n')[0]]",
		"class A extends TypeError {} class B extends A {} var e = new B('x'); return [e instanceof B, e instanceof TypeError, e instanceof RangeError, e.name, e.constructor.name === 'B']",
		"var e = new Error('a', { cause: 5 }); return [e.cause, 'cause' in new Error('b'), Object.keys(e)]",
		"function Old(m) { this.message = m } Old.prototype = Object.create(Error.prototype); Old.prototype.name = 'Old'; var e = new Old('m'); return [e instanceof Error, String(e)]",
		"return [Error('x') instanceof Error, new RangeError('r').name, RangeError.prototype instanceof Error, Error.prototype.constructor === Error, Object.getPrototypeOf(TypeError) === Error]",
		"try { null.x } catch (e) { return [e instanceof TypeError, e.constructor === TypeError] }",
		["try { globalThis.eval('1') } catch (e) { return e instanceof EvalError }", true],
		["try { (function () {}).constructor('return 1') } catch (e) { return e.name }", "EvalError"],
		"return new AggregateError([1, 2], 'm').errors",
		"return [Map, Set, Date, Promise, URL, URLSearchParams, Buffer, WeakMap, Error, TypeError, setTimeout, atob, BigInt].map(f => f.name)",
		"return [new Map().constructor.name, new Date().constructor.name, Promise.resolve().constructor.name]",
	],
	"dates parse and print as V8's": [
		"return ['2024-01-05', '2024-01-05T10:00:00', '2024-01-05T10:00:00Z', '2024-01-05T10:00:00.123456Z', '2024-01-05T10:00:00+02:00', '2024-01-05T10:00:00+0200', '2024-01-05T10:00:00-0530', '2024-01', '2024', '+012024-01-01T00:00:00Z', '2024-01-05 10:00:00', '2024-01-05 10:00:00 +0200', '2024-02-30', '2024-13-01', '2024-01-05T24:00:00Z', '2024-01-05T25:00:00Z'].map(s => Date.parse(s))",
		"return ['Fri, 05 Jan 2024 10:00:00 GMT', 'Fri, 5 Jan 2024 10:00:00 +0200', '2024/01/05', '2024/1/5 10:30', 'Jan 5, 2024', 'January 5, 2024 3:04 PM', '5 Jan 2024', '01/05/2024', '1/5/24', 'Fri Jan 05 2024 10:00:00 GMT+0100 (CET)', 'Friday, January 5, 2024', '12/31/1999 11:59:59 PM', 'Jan 5 2024 12:00 AM', '05 January 2024 08:00 EST', '2024-1-5'].map(s => Date.parse(s))",
		"return ['', 'hello', 'not a date 5', '2024-01-05T', 'Jan', '99/99/2024', '10:00', 'null', '5', 'foo 1/2/2023', '2024-01-05T10:00:00+2', '1 2 3 4', '2024-1-5T10:00Z', '5 PM', 'Jan 2024', '32 Jan 2024', '0/1/2024', '2024.01.05', '5.1.2024 10:11', 'Thu Jan 4 10:00:00 2024', '20240105', '1704441600000', '12', '13', '2024-01-05T10:00Z', '2024-01-05T10Z', 'Mon, 25 Dec 1995 13:30:00 +0430', '2024-01-05 10:00:00.5 UTC', 'Sept 3 2024', '3-Sep-2024'].map(s => String(Date.parse(s)))",
		"var d = new Date(Date.UTC(2024, 0, 5, 10, 2, 3, 45)); return [d.toISOString(), d.toUTCString(), d.toString(), d.toDateString(), d.toTimeString(), d.toJSON(), JSON.stringify(d), `${d}`, d + 1, d - 1]",
		"return [new Date(NaN).toString(), JSON.stringify(new Date(NaN)), isNaN(new Date('x'))]",
		"try { new Date(NaN).toISOString() } catch (e) { return [e.name, e.message] }",
		"return [new Date(2024, 0).getTime(), new Date(2024, 11, 31, 23, 59, 59, 999).getTime(), new Date(99, 0).getFullYear(), new Date(null).getTime(), new Date(undefined).getTime(), new Date(true).getTime()].map(String)",
		"var d = new Date(5); return [new Date(d).getTime(), typeof Date(), Date.UTC(2024), new Date('5').getTime(), new Date(1e20).getTime()].map(String)",
		"class D extends Date { iso() { return this.toISOString() } } return [new D(0).iso(), new D(0) instanceof D, new D('2024-01-05T00:00:00+0100').iso()]",
		"var d = new Date(0); d.setFullYear(2024); d.setUTCMonth(1, 29); return [d.toISOString(), d.getTimezoneOffset(), d > new Date(0), new Date(-1).toISOString(), new Date(253402300800000).toISOString()]",
		"var d = new Date(Date.UTC(2024, 0, 5, 15, 2, 3)); return [d.toLocaleDateString('en-US'), d.toLocaleString('en-US').replace(/\\u202f/g, ' '), d.toLocaleDateString('en-US', { month: 'long', day: 'numeric', year: 'numeric' }), d.toLocaleDateString('en-US', { weekday: 'short', month: 'short', day: 'numeric' }), d.toLocaleDateString('en-US', { year: 'numeric', month: '2-digit', day: '2-digit' })]",
	],
	"bytes convert as Node's": [
		"return [Buffer.from('é😀').toString('hex'), Buffer.from('aGk=', 'base64').toString(), Buffer.from('aGk', 'base64url').toString(), Buffer.from('hi').toString('base64'), Buffer.from([251, 255]).toString('base64url'), Buffer.from('68 69', 'hex').length, Buffer.from('zz', 'hex').length, Buffer.from('6869', 'hex').toString()]",
		"return [Buffer.concat([Buffer.from('a'), new Uint8Array([98])]).toString(), Buffer.isBuffer(Buffer.alloc(1)), Buffer.isBuffer(new Uint8Array(1)), Buffer.byteLength('é😀'), Buffer.alloc(3, 'ab').toString(), JSON.stringify(Buffer.from('a'))]",
		"return [Buffer.from('abc').slice(1).toString(), Buffer.from('abc').subarray(0, 2).toString(), Buffer.from('abc').equals(Buffer.from('abc')), Buffer.compare(Buffer.from('a'), Buffer.from('b')), [...Buffer.from('ab')], Buffer.from('abc').indexOf('c'), Buffer.from({ type: 'Buffer', data: [104, 105] }).toString()]",
		"return [Buffer.from('ab').toString('latin1'), Buffer.from('é', 'latin1').length, Buffer.from('hi', 'utf16le').toString('hex'), Buffer.from('6800', 'hex').toString('utf16le'), `${Buffer.from('x')}`]",
		"var b = Buffer.alloc(8); b.writeUInt32BE(0x01020304, 0); b.writeInt16LE(-2, 4); return [b.toString('hex'), b.readUInt32BE(0), b.readInt16LE(4)]",
		"var a = Buffer.from('abc'); var b = a.subarray(1); b[0] = 88; return [a.toString(), a.buffer instanceof ArrayBuffer, a instanceof Uint8Array, a.length]",
		"try { Buffer.from(5) } catch (e) { return e.name }",
		"return [btoa('hi'), atob('aGk='), atob(' a G k '), btoa('\\xff\\xfe')]",
		"return ['é', 'a=', '=', 'a'].map(t => { try { return t === 'é' ? btoa('\\u0100') : atob(t) } catch (e) { return e.name } })",
		"return [[...new TextEncoder().encode('é😀')], new TextDecoder().decode(new Uint8Array([195, 169, 255])), new TextDecoder('utf-8').decode(new Uint8Array([239, 187, 191, 65])), new TextEncoder().encoding]",
		"try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])) } catch (e) { return e.name }",
		"return [Uint8Array.from([1, 2, 3]).map(x => x * 2).join(), [...new Uint8Array([3, 1, 2]).sort()], new Uint8Array([1, 2, 3]).slice(1).length, new Uint8Array(2).fill(7).includes(7), new Float64Array([1.5]).at(0), new Uint8Array([1,2]).reduce((a, b) => a + b)]",
	],
	"addresses parse as the web's": [
		"return ['http://a.b/c?d=e#f', 'HTTPS://User:Pa%20ss@EX.com:443/a/../b/./c%2f d?q=\"é\\'#x y', 'http://1.2.3/', 'http://0x7f.1/', 'http://[::1]:80/', 'http://[2001:DB8:0:0:1:0:0:1]', 'ftp://x:21/y', 'mailto:a@b.c', 'http:\\\\\\\\x\\\\y', 'file:///a/b', 'https://münchen.de/ü', 'http://a.b?x', 'custom://Host/p/../q', 'http://a.b:8080', 'data:text/plain,hi'].map(u => new URL(u).href)",
		"return ['', 'x', '/a', 'http://', 'http://a b/', 'http://a:99999', 'http://[::1', 'http://a%00b', 'http://256.1.1.1.1'].map(u => { try { return new URL(u).href } catch (e) { return [e.name, e.message, e.code] } })",
		"return [['b', 'http://x/a/c'], ['../b?q', 'http://x/a/c/d'], ['?z', 'http://x/a?y#h'], ['#f', 'http://x/a?y'], ['//z/p', 'https://x/a'], ['/abs', 'http://x/a/b'], ['', 'http://x/a?b#c'], ['http:b', 'http://x/a/'], ['https://z', 'http://x']].map(([r, b]) => new URL(r, b).href)",
		"var u = new URL('https://u:p@h.com:8443/p/a?x=1&y=2#z'); return [u.protocol, u.username, u.password, u.host, u.hostname, u.port, u.pathname, u.search, u.hash, u.origin, JSON.stringify({u}), String(u)]",
		"var u = new URL('https://h.com/p'); u.searchParams.set('a', 'b c'); u.searchParams.append('a', 'é&'); u.pathname = '/x y'; u.hash = 'h'; u.port = '81'; u.hostname = 'z.com'; u.protocol = 'http'; var s = u.href; u.search = '?q=1'; return [s, u.href, u.searchParams.get('q'), [...u.searchParams]]",
		"var u = new URL('https://h.com/?a=1'); u.searchParams.delete('a'); return [u.href, u.search]",
		"var p = new URLSearchParams('a=1&b=2&a=3&c'); p.sort(); return [p.getAll('a'), p.get('zz'), p.has('b'), p.toString(), [...p.keys()], p.size, Object.fromEntries(p)]",
		"return [new URLSearchParams({ a: 'x y', b: 'é😀', c: \"*-._~!'()\" }).toString(), new URLSearchParams([['k', 'v&=+']]).toString(), new URLSearchParams('?x=%zz&y=%E9&z=a+b').toString()]",
		"var p = new URLSearchParams({ a: 1, b: true, c: null }); p.set('d', undefined); var out = []; p.forEach((v, k) => out.push(k + v)); return [out, String(p)]",
		["return [URL.canParse('http://x'), URL.canParse('x'), URL.canParse('x', 'http://y')]", [true, false, true]],
	],
	"zod answers as in Node": [
		"const z = require('zod').z; const S = z.object({ id: z.string().min(2), n: z.number().int().optional(), e: z.enum(['a', 'b']).default('a'), t: z.array(z.union([z.string(), z.number()])), u: z.string().url().nullable(), d: z.coerce.date().optional(), x: z.record(z.string(), z.any()).optional() }); return [S.safeParse({ id: 'ab', t: [1, 'x'], u: null, d: '2024-01-05', x: { y: 1 } }).data, S.safeParse({ id: 'a', n: 1.5, e: 'q', t: {}, u: 'no' }).error.issues]",
		"const { z } = require('zod'); try { z.object({ a: z.string() }).strict().parse({ b: 1 }) } catch (e) { return [e.name, e.message, e instanceof z.ZodError, e instanceof Error, z.treeifyError(e), z.flattenError(e)] }",
		"const z = require('zod'); const S = z.string().transform(s => s.length).pipe(z.number().max(3)).refine(n => n !== 2, 'two'); return ['abc', 'abcd', 'ab'].map(v => { const r = S.safeParse(v); return r.success ? r.data : r.error.issues[0].message })",
		"const z = require('zod'); const A = z.discriminatedUnion('k', [z.object({ k: z.literal('a'), v: z.string() }), z.object({ k: z.literal('b'), v: z.number() })]); return [A.safeParse({ k: 'b', v: 1 }).data, A.safeParse({ k: 'c' }).error.issues[0].code]",
		"const z = require('zod'); return z.toJSONSchema(z.object({ a: z.string().describe('x'), b: z.array(z.number()).optional(), c: z.any(), d: z.string().datetime() }))",
		"const z = require('zod'); return await z.object({ a: z.string() }).extend({ b: z.boolean() }).partial().passthrough().safeParseAsync({ b: true, q: 1 })",
		"const z = require('zod'); const T = z.object({ name: z.string(), get kids() { return z.array(T) } }); return T.safeParse({ name: 'a', kids: [{ name: 'b', kids: [] }] }).success",
		"const z = require('zod'); return ['a@b.co', 'bad', 'a..b@c.de'].map(v => z.email().safeParse(v).success).concat(['550e8400-e29b-41d4-a716-446655440000', 'x'].map(v => z.uuid().safeParse(v).success), ['2024-01-05T10:00:00Z', '2024-01-05'].map(v => z.iso.datetime().safeParse(v).success), ['1.2.3.4', '::1'].map(v => z.ipv4().safeParse(v).success))",
		"const z = require('zod'); return [z.preprocess(v => Number(v), z.number()).parse('5'), z.string().trim().toLowerCase().parse(' AB '), z.tuple([z.string(), z.number()]).parse(['a', 1]), z.map(z.string(), z.number()).parse(new Map([['a', 1]])).size, z.instanceof(Date).safeParse(new Date()).success, z.lazy(() => z.string()).parse('l')]",
	],
};

const wrap = (body) => `async (nango, input, require) => { ${body} }`;

async function inNode(body) {
	const made = (0, eval)(`(${wrap(body)})`);
	return JSON.stringify((await made({}, {}, require)) ?? null);
}

const parse = (text) => JSON.parse(text === "" ? "null" : text);

// A case is a body, or a body and its answer where Node 18 has none.
const bodyOf = (each) => (Array.isArray(each) ? each[0] : each);

for (const [claim, bodies] of Object.entries(GROUPS)) {
	test(claim, { skip: !haveEngine && "no duk" }, async () => {
		const list = bodies.map((each) => `async (nango, input) => { ${bodyOf(each)} }`).join(",\n");
		const source = `"use strict"; exports.default = { type: "action", async exec(nango, input) {
			const out = [];
			for (const f of LIST) {
				try { out.push(JSON.stringify((await f(nango, input)) ?? null)); }
				catch (e) { out.push("threw " + e + " " + (e && e.stack)); }
			}
			return out; } };
			const LIST = [${list}];`;
		const { out: expectations, answers } = await recordUnicode(async () => {
			const out = [];
			for (const each of bodies) out.push(Array.isArray(each) ? each[1] : parse(await inNode(bodyOf(each))));
			return out;
		});
		const report = run(source, { unicode: answers });
		assert.equal(report.loadError, null, JSON.stringify(report.loadError));
		assert.equal(report.done[0], true, report.done[1]);
		for (let i = 0; i < bodies.length; i++) {
			const body = bodyOf(bodies[i]);
			const expected = expectations[i];
			const got = report.result[i];
			assert.ok(!got.startsWith("threw"), `${body}\n${got}`);
			assert.deepEqual(parse(got), expected, body);
		}
	});
}
