// Random expressions of a wanted type, as TypeScript text: the same seed makes the same text.
export class Random {
	#state;

	constructor(seed) {
		this.#state = (seed * 2654435761 + 97) | 0 || 1;
		for (let i = 0; i < 8; i++) this.int(2);
	}

	// 0 <= n < below
	int(below) {
		let x = this.#state;
		x ^= x << 13;
		x ^= x >>> 17;
		x ^= x << 5;
		this.#state = x;
		return (x >>> 0) % below;
	}

	chance(percent) {
		return this.int(100) < percent;
	}

	pick(list) {
		return list[this.int(list.length)];
	}

	times(from, to, make) {
		return Array.from({ length: from + this.int(to - from + 1) }, (_, i) => make(i));
	}
}

const NUMBERS = ['0', '1', '-1', '2', '3', '7', '10', '42', '-17', '0.1', '0.2', '1.5', '-2.75', '1e3', '1e21', '123456789.987', '-0', '2147483647', '4294967296', '9007199254740991', '1e-7', '5e-324', '1.005', '0.000001', '1.7976931348623157e308', '255', '99.995', 'NaN', 'Infinity'];
const TEXTS = ['', ' ', 'a', 'Ada Lovelace', 'žluťoučký kůň', 'ÅNGSTRÖM', 'straße', 'İstanbul', '😀', '👩‍💻 dev', 'e\u0301', '\u0000nul', '\ud83d', '\ude00x', '\u2028\u2029', 'a,b;c|d', '2024-02-29', '2024-01-05T10:20:30Z', 'Jan 5, 2024', '12.50 EUR', '-0', '1e3', '0x1F', ' 42 ', '1_000', 'true', 'null', 'a.b.c', 'foo-bar_baz', 'CamelCaseText', 'line\r\nnext\ttab', '"quoted" \\ back', '<p>x &amp; y</p>', 'https://ex.com/a b?x=1&y=ü#h', 'ada@example.com', '+420 777-123 456', '$1$&', '{"a":[1,2]}', '9007199254740993', 'ﬁﬂ', '한국어', 'ا', '\ufeffbom'];
const FIELDS = ['id', 'name', 'email', 'amount', 'tags', 'at', 'owner', 'active', 'meta', 'missing', 'length', '0'];
const REGEXES = ['/a/', '/[aeiou]/g', '/\\d+/g', '/(\\w+)@(\\w+)\\.com/', '/^\\s+|\\s+$/g', '/([A-Z])/g', '/(a)|(b)/g', '/[^\\x00-\\x7f]/g', '/\\b\\w/g', '/(\\d{4})-(\\d\\d)-(\\d\\d)/', '/(?:x|e)*?o/i', '/[\\s,;|]+/', '/(?=[A-Z])/', '/^$/m', '/.$/gm', '/(.)\\1/', '/[\\w.+-]+/gi', '/\\u00e9|\\u017e/gi', '/a{2,3}?/', '/[^]/', '/x?/g', '/(?!a)./g', '/[-.\\/]/g', '/^(https?):\\/\\/([^/?#]+)/', '/\\S/g', '/([a-z]+)(?:-([a-z]+))?/', '/ß|ö/i', '/(z)((a+)?(b+)?(c))*/'];

const text = (value) => JSON.stringify(value).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

export class Expressions {
	constructor(seed) {
		this.random = new Random(seed);
		this.names = 0;
	}

	pick(list) {
		return this.random.pick(list);
	}

	fresh(prefix = 'v') {
		return `${prefix}${++this.names}`;
	}

	// One of the makers.
	one(...makers) {
		return this.pick(makers)();
	}

	numberLiteral() {
		return this.pick(NUMBERS);
	}

	textLiteral() {
		return text(this.pick(TEXTS));
	}

	regex() {
		return this.pick(REGEXES);
	}

	index() {
		return this.pick(['0', '1', '2', '-1', '-2', '3', '100', 'NaN', 'undefined', '1.7']);
	}

	lambda(scope, type, depth, ...parameters) {
		const inner = { ...scope };
		const names = parameters.map(([prefix, kind]) => {
			const name = this.fresh(prefix);
			inner[kind] = [...(inner[kind] ?? []), name];
			return name;
		});
		return `(${names.map((name) => `${name}: any`).join(', ')}) => ${this.make(type, depth, inner)}`;
	}

	make(type, depth, scope) {
		if (depth > 0 && this.random.chance(4)) return `(${this.make('bool', depth - 1, scope)} ? ${this.make(type, depth - 1, scope)} : ${this.make(type, depth - 1, scope)})`;
		return this[type](depth, scope);
	}

	variable(kind, scope, otherwise) {
		const known = scope[kind] ?? [];
		return known.length > 0 && this.random.chance(60) ? this.pick(known) : otherwise();
	}

	num(depth, scope) {
		if (depth <= 0) return this.variable('num', scope, () => this.numberLiteral());
		const [n, s, l, b] = ['num', 'str', 'list', 'bool'].map((type) => () => this.make(type, depth - 1, scope));
		return this.one(
			() => `(${n()} ${this.pick(['+', '-', '*', '/', '%'])} ${n()})`,
			() => `(${n()} ${this.pick(['&', '|', '^', '<<', '>>', '>>>'])} ${n()})`,
			() => `((${n()}) ** ${this.pick(['2', '3', '0.5', '-1'])})`,
			() => `Math.${this.pick(['round', 'floor', 'ceil', 'trunc', 'abs', 'sign', 'sqrt', 'cbrt', 'fround', 'log2', 'clz32'])}(${n()})`,
			() => `Math.${this.pick(['max', 'min', 'hypot'])}(...[${n()}, ${n()}])`,
			() => `${s()}.${this.pick(['length', 'indexOf("a")', 'lastIndexOf("e")', `search(${this.regex()})`, 'charCodeAt(1)', 'codePointAt(0)!'])}`,
			() => `Number(${s()})`,
			() => `parseInt(${s()}${this.pick(['', ', 10', ', 16', ', 2', ', 36'])})`,
			() => `parseFloat(${s()})`,
			() => `(${l()}).length`,
			() => `${l()}.${this.pick(['indexOf', 'lastIndexOf', 'findIndex', 'findLastIndex'])}(${this.random.chance(50) ? '((x: any) => x === null || typeof x === "object") as any' : s()})`,
			() => `${l()}.reduce(${this.lambda(scope, 'num', depth - 1, ['a', 'num'], ['x', 'any'])}, ${this.numberLiteral()})`,
			() => `Number((${n()}).toFixed(${this.random.int(6)}))`,
			() => `Number(${b()})`,
			() => `(${this.any(depth - 1, scope)} as any ?? ${n()})`,
			() => `Date.parse(${s()})`,
			() => `(-(${n()}))`,
			() => `(+(${this.any(depth - 1, scope)} as any))`
		);
	}

	str(depth, scope) {
		if (depth <= 0) return this.variable('str', scope, () => this.textLiteral());
		const [n, s, l, a] = ['num', 'str', 'list', 'any'].map((type) => () => this.make(type, depth - 1, scope));
		return this.one(
			() => `\`\${${a()}}-\${${n()}}\``,
			() => `(${s()} + ${this.one(s, n)})`,
			() => `${s()}.${this.pick(['trim', 'trimStart', 'trimEnd', 'toUpperCase', 'toLowerCase', 'toString'])}()`,
			() => `${s()}.normalize(${this.pick(['', '"NFC"', '"NFD"'])})`,
			() => `${s()}.${this.pick(['slice', 'substring', 'substr'])}(${this.index()}, ${this.index()})`,
			() => `${s()}.${this.pick(['padStart', 'padEnd'])}(${this.random.int(14)}, ${this.pick(['"0"', '" "', '"ab"', '"\u{1F600}"', '""'])})`,
			() => `${s()}.replace(${this.regex()}, ${this.pick(['"-"', '"[$&]"', '"<$1|$2>"', '"$$"', '"$`"', "\"$'\"", '"$0$3"', '((m: string, ...rest: any[]) => `${m.toUpperCase()}${rest.length}`)'])})`,
			() => `${s()}.replaceAll(${this.pick(['"a"', '" "', '""', '"."', '/e/g'])}, ${this.pick(['"_"', '"$&$&"', '""', '((m: string) => `(${m})`)'])})`,
			() => `${s()}.split(${this.pick(['""', '","', '" "', '"."', this.regex()])}).${this.pick(['join("|")', 'reverse().join("")', 'map((w: string) => w.charAt(0).toUpperCase() + w.slice(1)).join(" ")'])}`,
			() => `[...${s()}].${this.pick(['join("/")', 'reverse().join("")', 'length.toString()'])}`,
			() => `String(${a()})`,
			() => `(${n()}).${this.pick(['toString()', 'toString(16)', 'toString(36)', 'toString(2)', 'toFixed(2)', 'toFixed(0)', 'toFixed(10)', 'toPrecision(3)', 'toPrecision(12)', 'toExponential(4)', 'toExponential()'])}`,
			() => `String(JSON.stringify(${a()}${this.pick(['', ', null, 2', ', ["id", "name"]', ', (k: string, v: any) => (typeof v === "number" ? v + 1 : v)', ', null, "--"'])}))`,
			() => `${l()}.join(${this.pick(['', '","', '""', '" - "'])})`,
			() => `${this.pick(['encodeURIComponent', 'encodeURI', 'escape'])}(${s()})`,
			() => `Buffer.from(${s()}).toString(${this.pick(['"base64"', '"hex"', '"base64url"', '"latin1"', '"utf8"'])})`,
			() => `Buffer.from(${s()}, ${this.pick(['"base64"', '"hex"', '"latin1"', '"ascii"'])}).toString("hex")`,
			() => `(typeof ${a()})`,
			() => `(${s()}.at(${this.index()}) ?? "none")`,
			() => `(${this.any(depth - 1, scope)} as any || ${s()})`,
			() => `${s()}.concat(${a()} as any)`,
			() => `${s()}.repeat(${this.random.int(4)})`,
			() => `String.fromCodePoint(${32 + this.random.int(90)}, ${this.pick(['128512', '353', '65', '8364'])})`,
			() => `(${s()}.match(${this.regex()})?.[${this.random.int(3)}] ?? "no match")`
		);
	}

	bool(depth, scope) {
		if (depth <= 0) return this.variable('bool', scope, () => this.pick(['true', 'false']));
		const [n, s, l, a] = ['num', 'str', 'list', 'any'].map((type) => () => this.make(type, depth - 1, scope));
		return this.one(
			() => `(${n()} ${this.pick(['<', '<=', '>', '>=', '===', '!=='])} ${n()})`,
			() => `(${s()} ${this.pick(['<', '>', '===', '>='])} ${s()})`,
			() => `((${a()} as any) ${this.pick(['==', '!=', '<', '>='])} (${a()} as any))`,
			() => `${this.regex()}.test(${s()})`,
			() => `${s()}.${this.pick(['includes', 'startsWith', 'endsWith'])}(${this.textLiteral()})`,
			() => `${l()}.${this.pick(['some', 'every'])}(${this.lambda(scope, 'bool', depth - 1, ['x', 'any'], ['i', 'num'])})`,
			() => `${l()}.includes(${a()})`,
			() => `!(${a()})`,
			() => `(${this.make('bool', depth - 1, scope)} ${this.pick(['&&', '||'])} ${this.make('bool', depth - 1, scope)})`,
			() => `${this.pick(['Number.isInteger', 'Number.isFinite', 'Number.isNaN', 'Number.isSafeInteger', 'isNaN', 'isFinite', 'Array.isArray', 'Buffer.isBuffer'])}(${a()} as any)`,
			() => `Object.is(${a()}, ${a()})`,
			() => `("${this.pick(FIELDS)}" in Object(${a()}))`
		);
	}

	list(depth, scope) {
		if (depth <= 0) return this.variable('list', scope, () => `[${this.random.times(0, 4, () => this.any(0, scope)).join(', ')}]`);
		const [n, s, l, a, b] = ['num', 'str', 'list', 'any', 'bool'].map((type) => () => this.make(type, depth - 1, scope));
		const each = [['x', 'any'], ['i', 'num']];
		return this.one(
			() => `[${this.random.times(1, 4, () => (this.random.chance(25) ? `...${l()}` : a())).join(', ')}]`,
			() => `${l()}.map(${this.lambda(scope, 'any', depth - 1, ...each)})`,
			() => `${l()}.filter(${this.random.chance(30) ? 'Boolean as any' : this.lambda(scope, 'bool', depth - 1, ...each)})`,
			() => `${l()}.flatMap(${this.lambda(scope, 'list', depth - 1, ...each)})`,
			() => `[...${l()}].sort(${this.pick(['', '(p: any, q: any) => String(p).charCodeAt(0) - String(q).charCodeAt(0) || 0', '(p: any, q: any) => String(p).length - String(q).length', '(p: any, q: any) => (p?.amount ?? 0) - (q?.amount ?? 0)'])})`,
			() => `${l()}.slice(${this.index()}, ${this.index()})`,
			() => `${l()}.concat(${a()} as any, ${l()})`,
			() => `[${l()}, [${l()}]].flat(${this.pick(['', '1', '2', 'Infinity'])})`,
			() => `[...${l()}].reverse()`,
			() => `${s()}.split(${this.pick(['""', '" "', '","', this.regex(), '"", 2', '/(,)/'])})`,
			() => `[...${s()}.matchAll(${this.regex().replace(/\/[a-z]*$/, '/g')})].map((m) => [m.index, ...m])`,
			() => `(${s()}.match(${this.regex()}) ?? [])`,
			() => `Object.${this.pick(['keys', 'values', 'entries'])}(${this.make('obj', depth - 1, scope)})`,
			() => `Array.from({ length: ${this.random.int(5)} }, ${this.lambda(scope, 'any', depth - 1, ['_', 'any'], ['i', 'num'])})`,
			() => `[...new Set(${l()})]`,
			() => `[...new Map(${l()}.map((x: any, i: number) => [i % 3, x] as const)).entries()]`,
			() => `Array.from(${s()})`,
			() => `[...${l()}.${this.pick(['entries', 'keys', 'values'])}()]`,
			() => `new Array(${this.random.int(4)}).fill(${a()})`,
			() => `((list: any[]) => [list.splice(${this.index()}, ${this.random.int(3)}${this.random.chance(50) ? `, ${a()}` : ''}), list])([...${l()}])`,
			() => `${l()}.${this.pick(['toSorted()', 'toReversed()', 'toSpliced(1, 1)', 'with(0, 1)'])}`.replace('.with(0, 1)', '.concat([1]).with(0, 1)'),
			() => `(${b()} ? ${l()} : ${l()})`,
			() => `[...Buffer.from(${s()})]`,
			() => `[${n()}, ${n()}].copyWithin(0, 1)`
		);
	}

	obj(depth, scope) {
		if (depth <= 0) return this.variable('obj', scope, () => `({ id: ${this.numberLiteral()}, name: ${this.textLiteral()} } as any)`);
		const [s, l, a, o] = ['str', 'list', 'any', 'obj'].map((type) => () => this.make(type, depth - 1, scope));
		const field = () => this.pick(FIELDS.slice(0, 9));
		return this.one(
			() => `({ ${this.random.times(1, 4, () => `${this.random.chance(25) ? `[${s()}]` : field()}: ${a()}`).join(', ')} } as any)`,
			() => `({ ...${o()}, ${field()}: ${a()}, ...${o()} } as any)`,
			() => `({ ...(${this.make('bool', depth - 1, scope)} && ${o()}), last: ${a()} } as any)`,
			() => `Object.fromEntries(${l()}.map((x: any, i: number) => [${this.pick(['`k${i}`', 'String(x)', 'String(10 - i)'])}, x]))`,
			() => `Object.assign({}, ${o()}, ${o()})`,
			() => `JSON.parse(JSON.stringify(${o()}))`,
			() => `(({ ${field()}: taken = ${a()}, ...rest }: any) => ({ taken, rest }))(${o()})`,
			() => `${l()}.reduce((sum: any, x: any) => ({ ...sum, [typeof x]: (sum[typeof x] ?? 0) + 1 }), {} as any)`,
			() => `Object.groupBy(${l()}, (x: any) => typeof x)`.replace(/^Object\.groupBy\((.*), \(x: any\) => typeof x\)$/s, (_, list) => `${list}.reduce((groups: any, x: any) => { (groups[typeof x] ||= []).push(x); return groups; }, {})`)
		);
	}

	any(depth, scope) {
		if (depth <= 0) {
			return this.variable('any', scope, () =>
				this.one(
					() => this.numberLiteral(),
					() => this.textLiteral(),
					() => this.pick(['null', 'undefined', 'true', 'false', '[]', '{}']),
					() => this.variable('row', scope, () => 'null'),
					() => `${this.variable('row', scope, () => '({} as any)')}?.${this.pick(FIELDS.slice(0, 10))}`,
					() => `${this.variable('row', scope, () => '({} as any)')}?.owner?.address?.city`
				)
			);
		}
		return this.make(this.pick(['num', 'str', 'bool', 'list', 'obj', 'str', 'num']), depth, scope);
	}

	// Rows as providers have them.
	rows() {
		const r = this.random;
		const row = (i) => {
			const parts = [`id: ${this.pick([`${i + 1}`, `"rec_${i}"`, '9007199254740991'])}`, `name: ${this.textLiteral()}`];
			if (r.chance(70)) parts.push(`email: ${this.pick(['null', '"ada@example.com"', '" B@EX.com "'])}`);
			if (r.chance(80)) parts.push(`amount: ${this.pick([this.numberLiteral(), '"12.50"', 'null', '"1,234.5"'])}`);
			if (r.chance(60)) parts.push(`tags: [${r.times(0, 3, () => this.textLiteral()).join(', ')}]`);
			if (r.chance(80)) parts.push(`at: ${this.pick(['"2024-01-05T10:20:30Z"', '"2023-12-31T23:59:59.999+02:00"', '"2024-02-29"', 'null', '1704448830', '"bad"'])}`);
			if (r.chance(60)) parts.push(`owner: ${this.pick(['null', `{ id: ${i}, address: { city: ${this.textLiteral()} } }`, '{ address: null }', '{}'])}`);
			if (r.chance(50)) parts.push(`active: ${this.pick(['true', 'false', '"yes"', '1', 'null'])}`);
			return `{ ${parts.join(', ')} }`;
		};
		return `[${r.times(1, 5, row).join(', ')}]`;
	}
}
