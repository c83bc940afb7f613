const deep = (depth) => {
	let out = {};
	for (let i = 0; i < depth; i++) out = { child: out };
	return out;
};

export default {
	'lang-for-heads': { claim: 'in within heads of for loops', runs: [{ input: { row: { id: 1, tags: ['a', 'b'], owner: { x: 1, y: 2 } } } }, { label: 'without', input: { row: { name: 'n' } } }] },
	'lang-dates': { claim: 'dates of providers are parsed as V8 does', runs: [{}] },
	'lang-date-format': { claim: 'dates print as V8 prints them', runs: [{}] },
	'lang-sort': { claim: 'sort is stable, localeCompare knows the language', runs: [{}] },
	'lang-unicode': {
		claim: 'every character survives requests, logs and output',
		runs: [{ input: { text: '😀 Žluťoučký 日本 \u0000\u007f' }, answers: { 'POST /echo': [{ json: { echo: '👩‍👩‍👧 ü' } }] } }],
	},
	'lang-lone-surrogates': { claim: 'half characters inside of the function', runs: [{}] },
	'lang-numbers': { claim: 'numbers round and print as in Node', runs: [{ input: { n: 9007199254740993, f: 1.1 }, answers: { 'GET /numbers': [{ text: '{"id":9007199254740993,"e":1e21,"s":1.10,"neg":-0,"big":123456789012345678901}', headers: { 'content-type': 'application/json' } }] } }] },
	'lang-bigint': { claim: 'BigInt compares long ids', runs: [{ input: { ids: ['9007199254740993', '9007199254740992', '12', '900719925474099312'] } }] },
	'lang-collections': { claim: 'Map, Set and the weak ones', runs: [{}] },
	'lang-arrays': { claim: 'array methods', runs: [{}] },
	'lang-objects': { claim: 'object methods and order of keys', runs: [{}] },
	'lang-classes': { claim: 'classes', runs: [{}, { label: 'again, from fresh module state' }] },
	'lang-generators': { claim: 'generators', runs: [{ answers: { 'GET /pages': [{ json: [1, 2] }, { json: [3] }, { json: [] }, { json: [9, 9] }] } }] },
	'lang-async': { claim: 'promises settle in the order of Node', runs: [{ unordered: true, answers: { 'GET /item/1': [{ json: { id: 1 } }], 'GET /item/2': [{ json: { id: 2 } }], 'GET /item/3': [{ json: { id: 3 } }] } }] },
	'lang-deep-await': { claim: 'deep recursion through await', runs: [{ input: { depth: 1000 } }] },
	'lang-regex': { claim: 'regular expressions', runs: [{}] },
	'lang-strings': { claim: 'strings', runs: [{}] },
	'lang-buffers': { claim: 'Buffer and typed arrays', runs: [{}] },
	'lang-crypto': { claim: 'hashes and random values', runs: [{ input: { body: '{"a":"ü😀"}', secret: 's3cret ž' }, answers: { 'POST /signed': [{ json: {} }] } }] },
	'lang-urls': { claim: 'URLs', runs: [{}] },
	'lang-json': { claim: 'JSON', runs: [{ input: deep(40), answers: { 'GET /deep': [{ json: deep(500) }] } }] },
	'lang-control': { claim: 'control flow', runs: [{}] },
	'lang-tagged-union': {
		claim: 'tagged unions',
		runs: [{ input: { events: [{ kind: 'created', id: '1', at: '2024-01-05' }, { kind: 'moved', id: '2', from: 'a', to: 'b' }, { kind: 'deleted', id: '3' }, { kind: 'lost' }, { kind: 'moved', id: 4 }, { kind: 'created', id: 'x', at: 'never' }] } }],
	},
	'zod-schemas': {
		claim: 'zod accepts, transforms and explains',
		runs: [{ input: { people: [{ id: 1, name: ' Ada ', email: 'A@B.CO', age: '36', role: 'boss', extra: { a: 1 }, pair: ['x', 1], tree: { name: 'r', children: [{ name: 'c' }] } }, { id: true, name: '', email: 'x', created: 'yesterday', url: 'nope' }, { id: 'a', name: 'root' }, null, { id: 'b', name: 'n'.repeat(21), email: null, pair: ['x'], tree: { name: 1 } }] } }],
	},
	'zod-uncaught': { claim: 'an uncaught ZodError is script_internal_error', runs: [{ answers: { 'GET /items': [{ json: { items: [{ id: 1 }] } }] } }] },
};
