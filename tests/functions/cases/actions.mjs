const ok = { json: { ok: true } };
const items = (list, more) => ({ json: { items: list, ...more } });
const status = (code, json = {}, headers) => ({ status: code, json, headers });
const shapes = [{ kind: 'circle', radius: 2 }, { kind: 'rect', side: '3' }, { kind: 'square', side: 'x' }, { kind: 'circle', radius: -1 }, { kind: 'blob' }, {}, null, { kind: 'group', parts: [{ kind: 'circle', radius: 1 }, { kind: 'group', parts: [{ kind: 'square' }] }] }];
const values = ['', ' 7 ', 'abc', 'YWJj', 5, 0, null, true, [], ['a', 2, true], ['a', 'b'], {}, { a: 1 }, { a: 'x', b: 2 }, { page: '2', size: 'many', flags: 'x,y' }, { page: 0, extra: 1 }, { value: 1, left: { value: 2, right: { value: 'three' } } }, '2024-02-29', '2019-01-01T00:00:00Z'];

export default {
	'map-provider-error': {
		claim: 'errors of the provider are mapped',
		runs: [
			{ label: 'fine', input: { path: '/x' }, answers: { 'GET /x': [ok] } },
			...[400, 401, 404, 409, 418, 429, 500, 503].map((code) => ({ label: String(code), input: { path: '/x' }, answers: { 'GET /x': [status(code, { errors: [{ field: 'name', message: 'ü 😀' }] }, { 'retry-after': '7' })] } })),
			{ label: 'network', input: { path: '/x', base: 'http://127.0.0.1:1' } },
		],
	},
	'oauth-form-token': { claim: 'forms as text and as objects', runs: [{ input: { secret: 's&=+ü😀' }, answers: { 'POST /oauth/token': [{ json: { access_token: 'tok/1', token_type: 'bearer' } }], 'GET /me': [{ json: { id: 1 } }], 'POST /form': [ok] } }] },
	'signed-request': { claim: 'hashes and signatures over canonical requests', runs: [{ input: { at: '2024-01-05T10:20:30.400+02:00', body: { z: '😀', a: [1, { b: null }], n: 1e21 } }, answers: { 'POST /objects': [ok] } }] },
	'zod-unions': {
		claim: 'unions, transforms, superRefine',
		runs: [{ input: { shapes, money: [1, '12.50', '12.505', { cents: 5 }, { cents: 1.5 }, null], periods: [{ from: '2024-01-01T00:00:00Z', to: '2024-01-02T00:00:00+02:00' }, { from: '2024-02-01T00:00:00Z', to: '2024-01-01T00:00:00Z', days: 0 }, { from: 'soon', to: 1 }] } }],
	},
	'zod-containers': { claim: 'containers of zod', runs: [{ input: { values } }] },
	'business-dates': { claim: 'dates in business', runs: [{ input: { days: ['2024-01-05', '2024-02-29T23:59:59.999Z', '2023-12-31T23:00:00-05:00', '2020-12-28', '2021-01-03', '1969-07-20T20:17:40Z', 'Mar 28, 2024', '2024-06-30T12:00', '', '2024-13-01'] } }] },
	'large-ids': { claim: 'ids that are no numbers', runs: [{ input: { ids: ['9007199254740993', '9007199254740992', '12', '123456789012345678'] }, answers: { 'GET /messages': [{ text: '[{"id": 1234567890123456789, "n": 1},{"id":12}]', headers: { 'content-type': 'application/json' } }] } }] },
	'byte-codecs': { claim: 'bytes in every encoding', runs: [{ input: { text: 'Žluť 😀\u0000', base64: 'AQL/gMOk' }, answers: { 'PUT /bytes': [{ status: 201, json: {} }] } }, { label: 'halves', input: { text: 'x\ud83dy', base64: '/////w==' }, answers: { 'PUT /bytes': [ok] } }] },
	'fifty-requests': { claim: 'many requests at once', runs: [{ unordered: true, input: { count: 50 }, answers: { 'GET /item': [{ json: { value: 2 } }], 'GET /even/0': [ok], 'GET /even/1': [{ status: 202, json: {} }] } }] },
	'paginate-shapes': {
		claim: 'paginations with odd ends and places',
		runs: [
			{ how: 'cursor limit', answers: { 'GET /c': [items([1, 2], { next: 'n 2' }), items([3], { next: null })] } },
			{ how: 'cursor in query of post', answers: { 'POST /c': [items([1], { next: 5 }), items([2], { next: '  ' })] } },
			{ how: 'cursor in body of get', answers: { 'GET /c': [items([1], { next: 'x' }), items([2], { next: false })] } },
			{ how: 'offset in body', answers: { 'POST /o': [items([1, 2]), items([3, 4]), items([5])] } },
			{ how: 'offset per page', answers: { 'GET /o': [items([1]), items([2, 3]), items([])] } },
			{ how: 'offset text limit', answers: { 'GET /o': [items([1, 2]), items([3])] } },
			{ how: 'link body absolute', answers: { 'GET /l': [items([1], { links: { next: '{{origin}}/api/l?page=2&x=%5B' } }), items([], { links: { next: '{{origin}}/api/l?page=3' } }), items([3], { links: { next: '' } })] } },
			{ how: 'link both', answers: { 'GET /l': [{ json: { items: [1], links: { next: '/l?from=body' } }, headers: { link: '</l?from=header>; rel="next"' } }, items([2], { links: { next: '/l?from=body' } }), items([3], { links: { next: '/l?from=body' } })] } },
			{ how: 'no items', answers: { 'GET /c': [items([1], { next: 'x' })] } },
			{ how: 'not a list', answers: { 'GET /c': [{ json: { text: 'abc', next: 'x' } }, { json: { text: '' } }] } },
		].map(({ how, answers }) => ({ label: how, input: { how }, answers })),
	},
	'metadata-cache': { claim: 'metadata are cached until written', runs: [{ metadata: { n: 0, old: true }, answers: { 'GET /seen': [ok] } }, { label: 'none', answers: { 'GET /seen': [ok] } }] },
	'trigger-chain': { claim: 'actions of actions', calls: ['noop', 'outputs', 'action-error', 'throw-things', 'basic-error'], runs: [{ answers: { 'GET /tea': [{ status: 418, json: { tea: 1 } }] } }] },
	'trigger-uncaught': { claim: 'a failed action of an action', calls: ['action-error'], runs: [{ onlyCode: true }] },
	'lock-rules': { claim: 'rules of locks', runs: [{}] },
	'fetch-blocked': {
		claim: 'uncontrolledFetch is kept inside and reads everything',
		runs: [
			{
				input: { base: '{{origin}}/~{{key}}' },
				answers: { 'GET /text': [{ text: 'žluť 😀', headers: { 'content-type': 'text/plain; charset=utf-8', 'x-twice': ['a', 'b'] } }], 'GET /missing': [{ status: 404, statusText: 'Not Here', text: 'nope' }], 'GET /bytes': [{ base64: 'AP+AGg==' }], 'GET /moved': [{ status: 302, headers: { location: './text2' } }], 'GET /text2': [{ json: { moved: true } }], 'PUT /put': [{ status: 204 }] },
			},
		],
	},
	'error-kinds': {
		claim: 'errors of every kind',
		runs: ['zero', 'empty', 'false', 'null', 'date', 'nested', 'error', 'list', 'bytes', 'large', 'message', 'class', 'cause', 'wrapped', 'finally', 'later', 'frozen', 'fields'].flatMap((what) => [false, true].map((queued) => ({ label: queued ? `${what}, queued` : what, queued, input: { what }, frames: false, answers: { 'GET /broken': [{ status: 502, text: 'bad' }] } }))),
	},
	'deep-data': { claim: 'large and deep JSON', runs: [{ input: { depth: 200, rows: 1000 }, answers: { 'POST /bulk': [ok] } }, { label: 'ten megabytes', input: { depth: 10, rows: 100000 }, answers: { 'POST /bulk': [ok] } }] },
	'odd-characters': {
		claim: 'characters that break',
		runs: ['plain', 'žluťoučký kůň', '👩‍💻🏳️‍🌈𝒳', 'a\u0000b', '\u2028\u2029\u0085', 'e\u0301 é ﬁ', '"\\/\b\f\n\r\t', '%41&=+#?', '\ufeff\u200b\ufffd', '\uffff\ufffe', 'ß ŉ ǰ İ', ''].map((text) => ({ label: encodeURIComponent(text) || 'empty', input: { text }, answers: { 'POST /echo': [{ json: { back: text } }] } })),
	},
	'number-formats': { claim: 'formats of numbers', runs: [{ input: { numbers: [1, -1.5, 0.1, 1e21, 1e-7, 123456789.12345678, 9007199254740991, 1.005, 25, 0, 4.35, 1e14 + 0.3, 0.000001234] }, answers: { 'POST /numbers': [{ text: '{"a":1.0,"b":1E5,"c":-0.0,"d":12345678901234567890,"e":0.1e-6,"f":1e400}', headers: { 'content-type': 'application/json' } }] } }] },
	'comment-tree': { claim: 'recursion over rows', runs: [{ answers: { 'GET /comments': [{ json: [{ id: 1, parent: null, text: 'a' }, { id: 2, parent: 1, text: 'b 😀' }, { id: 3, parent: 2, text: 'c' }] }, { json: [{ id: 4, parent: 1, text: 'd' }, { id: 5, parent: 99, text: 'lost' }] }] } }] },
	'read-formats': {
		claim: 'formats read by hand',
		runs: [
			{
				answers: {
					'GET /feed.xml': [{ text: '<?xml version="1.0"?><feed><item id="1"><title>A &amp; B &#x1F600;</title><body><![CDATA[<b>x</b>]]></body></item><item><title>ü</title></item></feed>', headers: { 'content-type': 'application/xml' } }],
					'GET /events.ndjson': [{ text: '{"a":1}\n{"a":"\\u017e"}\n[1e3]\n', headers: { 'content-type': 'application/x-ndjson' } }],
					'GET /mail.eml': [{ text: 'From: a@b.co\r\nSubject: =?utf-8?B?xb1vZmllIPCfmIA=?=\r\n continued\r\nX-A: b: c\r\n\r\nP=C5=99=C3=ADli=C5=A1 =\r\nlong\r\n\r\nend', headers: { 'content-type': 'message/rfc822' } }],
				},
			},
		],
	},
	'retry-after': {
		claim: 'attempts again by status',
		runs: [
			{ label: '429', input: { status: 429 }, answers: { 'GET /limited': [{ status: 429, json: {}, headers: { 'retry-after': '1' } }, { json: { second: true } }] } },
			{ label: 'retryOn', input: { status: 418, retryOn: [418] }, answers: { 'GET /limited': [{ status: 418, json: {}, headers: { 'retry-after': '1' } }, { json: { second: true } }] } },
			{ label: 'not again', input: { status: 422 }, answers: { 'GET /limited': [{ status: 422, json: {} }, { json: {} }] } },
		],
	},
	'checkpoint-lives': { claim: 'checkpoints of actions outlive the call', runs: [{ calls: ['look', 'count', 'count', 'fail', 'look', 'clear', 'look', 'clear'].map((what) => ({ what })) }] },
	'log-levels': { claim: 'levels of the logger', runs: [{}, ...['debug', 'info', 'error', 'off'].map((level) => ({ label: level, input: { level } }))] },
	'upload-parts': { claim: 'multipart bodies by hand', runs: [{ input: { name: 'Ü 😀.bin', content: 'AAH/gMOk' }, answers: { 'POST /upload/parts': [{ status: 201, json: { id: 1 } }] } }] },
	'basic-token': { claim: 'getToken with a password', runs: [{}] },
	'github-token': { claim: 'getToken with OAuth', runs: [{ input: { base: '{{origin}}/api' }, answers: { 'GET /user': [ok] } }] },
	'queued-work': {
		claim: 'an action by the queue asks, logs and answers the same',
		runs: [{ queued: true, input: { ids: [3, 1, 2], text: '😀\u2028' }, answers: { 'GET /one': [{ json: { v: 1 } }], 'POST /done': [{ status: 201, json: { ok: 'ü' } }] } }, { label: 'provider error', queued: true, input: { ids: [], text: '' }, answers: { 'POST /done': [{ status: 422, json: { why: ['no'] }, headers: { 'x-ratelimit-left': '1' } }] } }],
	},
	'older-calls': { claim: 'deprecated and rare calls of nango', metadata: {}, runs: [{ metadata: { fieldMapping: { a: 'b' }, other: 1 } }, { label: 'none' }] },
	'lang-deadlock': { claim: 'a promise that never settles fails as deadlock, where Node waits for ever', runs: [{ freeMessage: true, instead: { requests: [], logs: [], error: { status: 500, code: 'script_internal_error', payload: { name: 'Error' } } } }] },
};
