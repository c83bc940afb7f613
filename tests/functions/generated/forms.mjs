// Random bodies of functions: statements around expressions, schemas, dates, URLs, bytes.
import { Expressions } from './expressions.mjs';

const DATES = ['2024-01-05T10:20:30Z', '2024-01-05T10:20:30.123456Z', '2024-01-05', '2024-01', '2024', '2024-01-05 10:20:30', '2024-01-05T10:20:30+02:00', '2024-01-05T10:20:30+0200', 'Fri, 05 Jan 2024 10:20:30 GMT', 'Fri Jan 05 2024 10:20:30 GMT+0100 (CET)', 'Jan 5, 2024', '5 January 2024 10:20', '2024/01/05', '01/05/2024', '1/5/24 3:04 PM', '12:30', '2024-02-30', '2024-13-01', '2024-01-05T24:00:00Z', '2024-01-05T10:20Z', '2024-1-5', '+275760-09-13T00:00:00.000Z', '-000001-01-01T00:00:00Z', '', 'now', '20240105', '1704448830000', '2024-01-05T10:20:30,5Z', 'Thu Jan  1 1970', '1970-01-01T00:00:00.000', '2024-W05', 'January 2024', '2024-01-05T10:20:30z', '2024-01-05T10:20:30 UTC', '2024-06-05T10:20:30 EST', 'Tue Mar 01 2022 00:00:00 GMT-0500'];
const URLS = ['https://ex.com/a b?x=1&y=ü#h', 'HTTP://User:Pa%20ss@EX.com:80/../a/./b/', '/relative/path?q=1', '//other.host/x', 'mailto:a@b.co', 'https://žofie.cz/', 'not a url', 'https://ex.com?x=1&x=2&z', 'https://ex.com:8443/%7Efoo/%zz', 'http://[::1]:80/x', 'https://ex.com/a/../../b;c=1?d=[e]', 'ftp://ex.com/file', 'https://1.2.3/x', 'https://ex.com/\\a\\b', ' https://ex.com/trim\n', 'data:text/plain,hi', 'https://ex.com:99999/', 'file:///etc/x', '?only=query', '#frag'];
const VALUES = ['""', '"abc"', '" 42 "', '"a@b.co"', '"2024-01-05T10:20:30Z"', '"2024-01-05"', '"https://ex.com/x"', '"9b2c6f1e-3c8e-4a55-9d6c-0f1f5f2b7c11"', '0', '-1', '1.5', '42', 'NaN', 'Infinity', 'null', 'undefined', 'true', '"true"', '"no"', '[]', '[1, "a"]', '["x", "y"]', '{}', '{ id: 1 }', '{ id: "1", name: "Ada", extra: true }', '{ kind: "a", n: 1 }', '{ kind: "b", s: "x" }', '{ kind: "c" }', 'new Date(0)', 'new Date(NaN)', 'new Map([["a", 1]])', 'new Set(["a", "b"])', '"admin"', '{ a: { b: [1, 2, { c: null }] } }', '"\\ud83d\\ude00"', '9007199254740993', '[[1, 2], [3]]', '"1,2,3"', '{ name: "x", children: [{ name: "y", children: [] }] }', '{ id: 5, name: null, email: "nope" }'];

export class Forms extends Expressions {
	// The body of one function: statements that end with a return.
	body() {
		const scope = { row: ['row'], list: ['rows'], any: ['row', 'rows'], obj: ['row'], num: [], str: [], bool: [] };
		const setup = `const rows: any[] = ${this.rows()}; const row: any = rows[${this.random.int(2)}];`;
		const roll = this.random.int(100);
		if (roll < 38) return `${setup} return ${this.make(this.pick(['num', 'str', 'list', 'obj', 'bool']), 2 + this.random.int(3), scope)};`;
		if (roll < 68) return `${setup} ${this.statements(scope)}`;
		if (roll < 82) return this.schemas();
		if (roll < 89) return this.dates();
		if (roll < 94) return this.addresses();
		return this.bytes();
	}

	statements(scope) {
		const e = (type, depth = 2) => this.make(type, depth, scope);
		return this.one(
			() => `const { id, name: { length = 3 } = "dflt" as any, tags: [first, ...others] = [] as any[], owner: { address: { city = ${e('str', 1)} } = {} as any } = {} as any, ...rest }: any = row ?? {}; return { id, length, first, others, city, rest };`
				.replace('address: { city', this.pick(['address: { city', 'id: { city'])),
			() => `const out: any[] = []; outer: for (const x of ${e('list')}) { for (let i = 0; i < 3; i++) { if (${this.make('bool', 1, { ...scope, any: [...scope.any, 'x'], num: ['i'] })}) continue outer; if (out.length > 20) break outer; out.push([i, x]); } } return out;`,
			() => `const fns: any[] = []; for (let i = 0; i < 4; i++) { let j = i * 2; fns.push(() => [i, j++]); if (i === 2) continue; j += 10; } return fns.map((f) => [f(), f()]);`,
			() => `let log = ""; for (const key in ${e('obj')}) log += key + ","; for (const [k, v] of Object.entries(row ?? {})) log += \`\${k}=\${typeof v};\`; return log;`,
			() => `switch (${this.pick(['typeof ', ''])}(${e('any')} as any)) { case "string": { const s = 1; return s; } case 0: case ${e('num', 1)}: return "num"; case "number": return "number"; case null: default: return [${e('any')}]; case true: return "yes"; }`,
			() => `const steps: any[] = []; const f = () => { try { steps.push(1); if (${e('bool')}) throw new ${this.pick(['Error', 'TypeError', 'RangeError'])}(${e('str')}); return ${e('any')}; } catch (error: any) { steps.push(error.name, error.message, error instanceof Error); return "caught"; } finally { steps.push("finally"); ${this.pick(['', 'if (steps.length > 3) return "overridden";'])} } }; return [f(), steps];`,
			() => `function* walk(node: any, depth = 0): Generator<any> { yield [depth, node?.id ?? node]; for (const child of Array.isArray(node) ? node : []) yield* walk(child, depth + 1); } return [...walk([1, [2, [3]], ${e('list', 1)}])].slice(0, 30);`,
			() => `async function* pages(): AsyncGenerator<any[]> { for (let page = 0; page < 3; page++) { await Promise.resolve(); yield ${e('list')}; } } const seen: any[] = []; for await (const page of pages()) { if (seen.length > 5) break; seen.push(...page); } return seen;`,
			() => `class Base { #hidden = ${e('num', 1)}; static count = 0; name: string; constructor(name: string, public readonly tag = "t") { this.name = name; Base.count++; } get upper() { return this.name.toUpperCase(); } set upper(value) { this.name = value + "!"; } peek() { return this.#hidden; } toJSON() { return { name: this.name, hidden: this.#hidden }; } static make(...names: string[]) { return names.map((n) => new this(n)); } } class Derived extends Base { override peek() { return super.peek() + 1; } } const all = [...Base.make(${e('str', 1)}, "b"), new Derived("d")]; all[0]!.upper = "set"; return [JSON.stringify(all), all.map((x) => [x.upper, x.peek(), x instanceof Derived, x.tag, x.constructor === Base]), Base.count];`,
			() => `class CustomError extends Error { status: number; constructor(message: string, status = 500) { super(message); this.name = "CustomError"; this.status = status; } } try { throw new CustomError(${e('str', 1)}, ${e('num', 1)}); } catch (error: any) { return [error instanceof CustomError, error instanceof Error, error.name, error.message, error.status, String(error), Object.keys(error)]; }`,
			() => `const results = await Promise.${this.pick(['all', 'allSettled'])}(rows.map(async (r: any, i: number) => { if (i % 2) await null; ${this.pick(['', 'if (i === 3) throw new Error("no " + i);'])} return [i, r?.name ?? null]; })); return results.map((r: any) => r?.reason?.message ?? r);`,
			() => `const order: any[] = []; await Promise.all([1, 2, 3].map(async (n) => { order.push("s" + n); await (n === 2 ? Promise.resolve().then(() => order.push("then")) : undefined); order.push("e" + n); })); queue(); function queue() { order.push(${e('str', 1)}); } return order;`,
			() => `const race = await Promise.race([new Promise((done) => setTimeout(() => done("late"), 5)), Promise.resolve(${e('any', 1)})]); const any = await Promise.any([Promise.reject(new Error("x")), Promise.resolve(${e('str', 1)})]); return [race, any];`,
			() => `const map = new Map<any, any>(); for (const x of ${e('list')}) map.set(x, (map.get(x) ?? 0) + 1); map.delete(${e('any', 1)}); const seen: any[] = []; for (const [k, v] of map) { seen.push([k, v]); if (seen.length === 2) map.delete(k); if (seen.length < 4) map.set("new" + seen.length, 1); if (seen.length > 12) break; } return [seen, map.size, [...map.keys()]];`,
			() => `const set = new Set<any>(${e('list')}); set.add(NaN).add(-0).add(null).delete(1); let count = 0; set.forEach((v) => { count += typeof v === "number" ? 1 : 100; }); return [[...set], count, set.has(0), set.has(NaN), set.size];`,
			() => `const groups = rows.reduce((all: Record<string, any[]>, r: any) => { const key = r?.email?.trim?.().toLowerCase() ?? "none"; (all[key] ??= []).push(r?.id); return all; }, {}); const total = rows.map((r: any) => Number(String(r?.amount ?? 0).replace(/,/g, ""))).reduce((a, b) => a + b, 0); return { groups, total, avg: (total / rows.length).toFixed(2) };`,
			() => `const sorted = [...rows, ...${e('list', 1)}].sort((a: any, b: any) => String(a?.at ?? "").localeCompare(String(b?.at ?? "")) || String(a?.id).length - String(b?.id).length); return sorted.map((r: any) => r?.id ?? r);`,
			() => `let x: any = ${e('any')}; let y: any = ${e('any')}; [x, y] = [y, x]; x ??= ${e('any', 1)}; y ||= ${e('any', 1)}; let z: any = 1; z &&= x; return { x, y, z, t: [typeof x, typeof y], sum: typeof x === "number" ? x++ + ++x : void 0 };`,
			() => `const tag = (parts: TemplateStringsArray, ...values: any[]) => parts.raw.map((p, i) => p + (i < values.length ? \`<\${JSON.stringify(values[i])}>\` : "")).join("|"); return tag\`a\\n\${${e('any')}} mid \${${e('str')}}\`;`,
			() => `enum Level { Low = 1, Mid = Low * 2, High = "h" as any } namespace Tools { export const twice = (n: number) => n * 2; export function label(l: any) { return Level[l] ?? "?"; } } return [Level, Tools.twice(${e('num')}), Tools.label(1), Tools.label("h"), Object.keys(Level)];`.replace(/enum|namespace/g, (word) => word).replace(/^enum (.*?\}) namespace (.*?\} \}) /s, (_, a, b) => `${this.hoist(`enum ${a}`)} ${this.hoist(`namespace ${b}`)} `),
			() => `const memo: Record<string, number> = {}; const fib = (n: number): number => (n < 2 ? n : (memo[n] ??= fib(n - 1) + fib(n - 2))); const depth = (v: any): number => (v !== null && typeof v === "object" ? 1 + Math.max(0, ...Object.values(v).map(depth)) : 0); return [fib(${10 + this.random.int(60)}), depth(${e('any')}), memo];`,
			() => `const o: any = { a: 1, get twice() { return this.a * 2; }, set twice(v) { this.a = v; }, ["c" + ${e('num', 1)}]: 2, method() { return this.a; }, async later() { return this.a; }, *gen() { yield this.a; } }; o.twice = ${e('num', 1)}; const copy = { ...o }; delete o.a; return [Object.keys(o), o.method(), await o.later(), [...o.gen()], copy.twice, JSON.stringify(o), Object.getOwnPropertyNames(o)];`,
			() => `const frozen = Object.freeze({ a: [1], b: 2 }) as any; let failed = ""; try { frozen.b = 3; } catch (error: any) { failed = error.name; } const sealed: any = Object.seal({ x: 1 }); sealed.x = ${e('num', 1)}; try { delete sealed.x; } catch (error: any) { failed += error.name; } return [frozen, failed, sealed, Object.isFrozen(frozen), Object.isSealed(sealed)];`,
			() => `const own: any = Object.create({ inherited: 1 }, { visible: { value: ${e('any', 1)}, enumerable: true }, hidden: { value: 2, enumerable: false } }); return [Object.keys(own), JSON.stringify(own), "inherited" in own, Object.hasOwn(own, "inherited"), { ...own }, own.propertyIsEnumerable("hidden")];`,
			() => `const args = (...all: any[]) => all.length; const dflt = (a: any = ${e('num', 1)}, { b = 2, c = a }: any = {}, ...more: any[]) => [a, b, c, more]; return [args(...${e('list')}), dflt(), dflt(undefined, { c: null }, 1, 2), dflt(null, { b: ${e('any', 1)} })];`,
			() => `const re = ${this.regex().replace(/\/[a-z]*$/, '/g')}; const s = ${e('str')}; const hits: any[] = []; for (let m; (m = re.exec(s)) && hits.length < 8; ) { hits.push([m.index, m[0], m[1], re.lastIndex]); if (m[0] === "") re.lastIndex++; } return [hits, re.source, re.flags, String(re), s.replace(re, (...a: any[]) => "#" + a[a.length - 2])];`,
			() => `const text = JSON.stringify(${e('any')}, (key, value) => (value === null ? "nil" : value), ${this.pick(['0', '2', '"\\t"'])}); if (text === undefined) return "undefined"; return [text, JSON.parse(text, (k, v) => (Array.isArray(v) ? v.slice(0, 3) : v))];`,
			() => `const bad = [${e('str', 1)}, "{", "[1,]", "01", "1e5", "{\\"a\\":1,\\"a\\":2}", "\\"\\\\u00e9\\"", "-0", " true ", "nul", "{'a':1}", "1e400", "[1e-400]", "\\"\\t\\""]; return bad.map((t) => { try { return JSON.parse(t as string); } catch (error: any) { return error.name; } });`,
			() => `const it = { from: 1, to: 4, [Symbol.iterator]() { let n = this.from; const end = this.to; return { next: () => (n <= end ? { value: n++, done: false } : { value: undefined, done: true }), return: () => ({ value: undefined, done: true }) }; } }; const [a, , c = 9, ...d] = it as any; return [a, c, d, Math.max(...(it as any)), Array.from(it as any, (n: any) => n * ${e('num', 1)}), new Set(it as any).size];`,
			() => `const weak = new WeakMap<object, any>(); const key = {}; weak.set(key, ${e('any', 1)}); const sym = Symbol("s"); const o: any = { [sym]: 1, b: 2 }; return [weak.get(key), weak.has({}), o[sym], Object.keys(o), sym.toString(), sym.description, typeof sym, Symbol.for("x") === Symbol.for("x"), JSON.stringify({ s: sym, f: () => 1, u: undefined, list: [sym, undefined, () => 1] })];`,
			() => `const p = new Proxy({ a: 1 } as any, { get: (target, name) => (name in target ? target[name] : \`no \${String(name)}\`) }); return [p.a, p.zzz, ${e('any', 1)}];`.replace(/^const p = new Proxy.*$/s, `return [${e('any')}, Reflect.ownKeys({ b: 1, 2: 1, a: 1, 1: 1 }), Reflect.has({ x: 1 }, "x")];`),
			() => `return [${this.random.times(3, 6, () => `(() => { try { return ${e('any')}; } catch (error: any) { return error.name; } })()`).join(', ')}];`,
			() => `const chain = (row as any)?.owner?.address?.["city"]?.toUpperCase?.()?.split("")?.[0]; const call = (row as any)?.nothing?.(${e('any', 1)}); const del = delete (row as any)?.tags; return { chain, call, del, row };`,
			() => `const big = BigInt(${this.pick(['"9007199254740993"', '42', '"-12345678901234567890"', 'Number.MAX_SAFE_INTEGER'])}); const other = BigInt(${this.pick(['1', '"1000000007"', '3'])}); return [String(big), String(BigInt(7) === BigInt("7")), Number(big), ${this.pick(['big > other', 'big === other', 'big == other'])}];`,
			() => `const clock: any[] = []; await new Promise<void>((done) => { setTimeout(() => clock.push("b"), 2); setTimeout(() => { clock.push("c"); done(); }, 4); Promise.resolve().then(() => clock.push("a")); }); return clock.concat(${e('list', 1)});`
		);
	}

	hoist(text) {
		this.top = `${this.top ?? ''}${text}\n`;
		return '';
	}

	schema(depth) {
		const s = () => this.schema(depth - 1);
		const text = () => `z.string()${this.random.times(0, 2, () => this.pick(['.min(2)', '.max(5)', '.length(3)', '.trim()', '.toLowerCase()', '.regex(/^[a-z]+$/)', '.startsWith("a")', '.includes("b")', '.email()', '.url()', '.uuid()', '.datetime()', '.nonempty()', '.min(2, "too short")', '.endsWith("z")'])).join('')}`;
		const number = () => `z.number()${this.random.times(0, 2, () => this.pick(['.int()', '.positive()', '.min(1)', '.max(10)', '.multipleOf(0.5)', '.nonnegative()', '.finite()', '.lt(5, { message: "small" })'])).join('')}`;
		const plain = [text, number, () => 'z.boolean()', () => 'z.unknown()', () => 'z.null()', () => 'z.literal("admin")', () => 'z.enum(["admin", "user"])', () => `z.coerce.${this.pick(['number', 'string', 'boolean', 'date'])}()`, () => 'z.date()', () => 'z.any()', () => 'z.email()', () => 'z.iso.datetime()', () => 'z.url()', () => 'z.int()', () => 'z.iso.date()', () => 'z.undefined()', () => 'z.never()', () => 'z.nan()'];
		let made =
			depth <= 0
				? this.one(...plain)
				: this.one(
						...plain.slice(0, 2),
						() => `z.object({ ${['id', 'name', 'email', 'kind', 'n'].filter(() => this.random.chance(45)).map((name) => `${name}: ${s()}`).join(', ')} })${this.pick(['', '', '.strict()', '.passthrough()', '.partial()', '.catchall(z.number())', '.strip()'])}`,
						() => `z.array(${s()})${this.pick(['', '.min(1)', '.max(1)', '.nonempty()'])}`,
						() => `z.union([${s()}, ${s()}])`,
						() => `z.record(z.string(), ${s()})`,
						() => `z.tuple([${s()}, ${s()}])${this.pick(['', `.rest(${s()})`])}`,
						() => `z.map(z.string(), ${s()})`,
						() => `z.set(${s()})`,
						() => `z.discriminatedUnion("kind", [z.object({ kind: z.literal("a"), n: ${s()} }), z.object({ kind: z.literal("b"), s: ${s()} })])`,
						() => `z.object({ id: ${s()} }).and(z.object({ name: ${s()} }))`,
						() => `z.lazy(() => ${s()})`,
						() => `z.preprocess((v) => (typeof v === "string" ? v.trim() : v), ${s()})`,
						() => `z.object({ id: ${s()}, name: ${s()} }).${this.pick(['pick({ id: true })', 'omit({ id: true })', 'extend({ extra: z.boolean() })', 'partial({ name: true })', 'required()'])}`
					);
		const after = this.random.times(0, 2, () =>
			this.pick(['.optional()', '.nullable()', '.nullish()', '.default("dflt" as never)', '.catch("caught" as never)', '.refine((v: any) => v !== "admin", { message: "not admin" })', '.transform((v: any) => [typeof v, v])', '.superRefine((v: any, ctx: any) => { if (v === 42) ctx.addIssue({ code: "custom", message: "no 42", path: ["deep"] }); })', '.brand<"Id">()', '.readonly()', '.describe("text")', '.pipe(z.any())', '.or(z.null())', '.refine((v: any) => String(v).length < 12, "long")'])
		);
		made += after.join('');
		return made;
	}

	schemas() {
		const values = this.random.times(4, 9, () => this.pick(VALUES)).join(', ');
		const ending = this.random.int(10);
		const show = 'r.success ? ["ok", r.data] : ["bad", r.error.issues]';
		const more = ending === 0 ? 'const e = r.error; if (e) return [z.flattenError(e), z.prettifyError(e), z.treeifyError(e)];' : ending === 1 ? 'if (r.error) return [r.error.message, r.error.name, r.error instanceof z.ZodError];' : '';
		return `const schema: any = ${this.schema(2 + this.random.int(2))}; return ([${values}] as any[]).map((value) => { ${ending === 2 ? 'try { return schema.parse(value); } catch (error: any) { return [error.name, error.message]; }' : `const r: any = schema.safeParse(value); ${more} return ${show};`} });`;
	}

	dates() {
		const list = this.random.times(3, 8, () => `"${this.pick(DATES)}"`).join(', ');
		const part = () => this.pick(['d.getTime()', 'd.getFullYear()', 'd.getMonth()', 'd.getUTCDay()', 'd.getHours()', 'd.getTimezoneOffset()', 'String(d)', 'd.toUTCString()', 'd.toDateString()', 'd.toTimeString()', 'd.toJSON()', '`${d}`', 'd.valueOf() - 1', '(d as any) + 1', 'd > new Date(0)', 'new Date(d.getTime() + 86400000 * 45).toJSON()', 'Math.floor(d.getTime() / 1000)', 'd.toLocaleDateString("en-US")', 'd.toISOString?.().slice(0, 10)', 'd.setDate(d.getDate() + 40)', 'd.setMonth(d.getMonth() - 13)', 'd.setUTCHours(25, 61, 61, 1001)', 'd.setFullYear(2023, 1, 31)', 'new Date(d.getFullYear(), d.getMonth() + 1, 0).getDate()', 'JSON.stringify({ d })', 'd.setHours(0, 0, 0, 0)']);
		return this.one(
			() => `return [${list}].map((t) => { const d = new Date(t); try { return [${this.random.times(2, 5, part).join(', ')}]; } catch (error: any) { return [error.name, error.message]; } });`,
			() => `return [[2024, 0, 31], [2024, 12, 1], [1, 1], [99, 5, 5], [2024, -1, 0, 24, 60, 61, 1000], [2024, 1.9, "3" as any], [NaN, 1], [275760, 8, 13, 0, 0, 0, 1]].map((a: any) => { const d: any = new (Date as any)(...a); return [d.getTime(), Date.UTC(...(a as [number, number])), ${part().replace('d.toISOString?.().slice(0, 10)', 'd.getDate()')}]; });`,
			() => `const days: string[] = []; for (let d = new Date("2024-0${1 + this.random.int(9)}-2${this.random.int(9)}T00:00:00Z"); days.length < 6; d.setUTCDate(d.getUTCDate() + ${1 + this.random.int(20)})) days.push(d.toISOString().slice(0, 10)); return [days, new Date(8.64e15 + 1).getTime(), typeof Date.now(), new Date(${this.numberLiteral()}).getTime()];`
		);
	}

	addresses() {
		const list = this.random.times(2, 5, () => JSON.stringify(this.pick(URLS))).join(', ');
		return this.one(
			() => `return [${list}].map((t) => { try { const u = new URL(t${this.pick(['', ', "https://base.org/dir/file?z=1"'])}); ${this.pick(['', 'u.searchParams.append("ä b", "c&d");', 'u.pathname = "/x y/../z";', 'u.hash = "";', 'u.search = "?a=1 2";', 'u.port = "8080";', 'u.hostname = "new.host";', 'u.searchParams.delete("x");', 'u.searchParams.set("x", "9");'])} return [u.href, u.origin, u.host, u.pathname, u.search, u.hash, u.username, u.port, [...u.searchParams], String(u.searchParams)]; } catch (error: any) { return error.name; } });`,
			() => `const p = new URLSearchParams(${this.pick(['{ a: "1", b: "x y", c: "ü&=" }', '"?a=1&a=2&b=%zz&c=+d%2B"', '[["k", "v"], ["k", "w"]]', '"a&b=&=c&&d"'])}); p.append(${this.textLiteral()}, ${this.textLiteral()}); p.sort(); return [p.toString(), p.get("a"), p.getAll("k"), p.has("b"), [...p.entries()].length, Object.fromEntries(p), [...p.keys()]];`,
			() => `return [${this.random.times(2, 5, () => this.textLiteral()).join(', ')}].map((t) => { try { return [encodeURIComponent(t), encodeURI(t), decodeURIComponent(t), escape(t)]; } catch (error: any) { return error.name; } });`
		);
	}

	bytes() {
		const t = () => this.textLiteral();
		return this.one(
			() => `return [createHash(${this.pick(['"sha256"', '"md5"', '"sha1"', '"sha512"'])}).update(${t()}).update("x").digest(${this.pick(['"hex"', '"base64"'])}), createHmac("sha256", ${t()}).update(${t()}).digest("base64")];`,
			() => `const b = Buffer.concat([Buffer.from(${t()}), Buffer.from([1, 255, 256, -1, 3.7]), Buffer.alloc(2, "z")]); return [b.length, b.toString("hex"), b.toString("base64"), b.slice(1, -1).toString("latin1"), b.equals(Buffer.from(b)), JSON.stringify(b.subarray(0, 3)), b.indexOf(255), b.readUInt16BE(0), Buffer.byteLength(${t()}), [...b.subarray(-3)]];`,
			() => `return [${t()}, "YWJj", "YW Jj==", "!!", "_-8", "=", "YQ"].map((s) => [Buffer.from(s, "base64").toString("hex"), Buffer.from(s, "hex").length, Buffer.from(s, "utf16le").toString("base64"), Buffer.from(s).toString("binary")]);`,
			() => `return [btoa("abc\\u00ff"), atob("YWJj/w=="), [...new TextEncoder().encode(${t()})], new TextDecoder().decode(Buffer.from(${t()}))];`,
			() => `const u = new Uint8Array([1, 2, 300, -1]); const copy = Uint8Array.from(u, (x) => x * 2); return [[...u], [...copy.subarray(1)], u.byteLength, Array.from(u.map((x) => x + 1)), Buffer.from(u.buffer).toString("hex"), new Uint16Array(u.buffer).length, u.join("-")];`
		);
	}
}
