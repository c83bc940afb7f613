const echo = { json: { ok: true } };
const rows = (...ids) => ({ json: { rows: ids.map((id) => ({ id })) } });
const numbers = (...list) => ({ json: { rows: list.map((n) => ({ n })) } });
const issues = (...list) => list.map((n) => ({ n }));

export default {
	'list-contacts-cursor': {
		claim: 'cursor pages are mapped, the limit goes along',
		runs: [
			{
				input: { since: '2024-01-05T00:00:00Z' },
				answers: {
					'GET /v3/contacts': [
						{ json: { data: { items: [{ id: 1, first_name: 'Ada', last_name: 'L', email: 'a@b' }, { id: 2, tags: [{ label: 'vip' }] }] }, meta: { next: ' c2= ' } } },
						{ json: { data: { items: [{ id: 3, first_name: 'Žofie' }] }, meta: { next: '' } } },
					],
				},
			},
			{ label: 'empty', input: {}, answers: { 'GET /v3/contacts': [{ json: { data: { items: [] }, meta: { next: 'x' } } }] } },
			{ label: 'no list', input: {}, answers: { 'GET /v3/contacts': [{ json: { data: {} } }] } },
		],
	},
	'list-offset': {
		claim: 'offsets count rows or pages, in query and body',
		runs: [
			{ label: 'by size', input: {}, answers: { 'GET /deals': [rows(1, 2), rows(3, 4), rows(5)] } },
			{ label: 'by page', input: { perPage: true, start: 1 }, answers: { 'GET /deals': [rows(1, 2), rows(3, 4), rows()] } },
			{ label: 'in body', input: { body: true }, answers: { 'POST /deals': [rows(1, 2), rows(3)] } },
		],
	},
	'list-link': {
		claim: 'links from header and body are followed',
		runs: [
			{
				label: 'header',
				input: { how: 'header' },
				answers: {
					'GET /issues': [{ json: issues(1, 2, 3), headers: { link: '<{{origin}}/api/issues?page=2&state=all>; rel="next", <{{origin}}/api/issues?page=9>; rel="last"' } }, { json: issues(4), headers: { link: '<{{origin}}/api/issues?page=1>; rel="first"' } }],
				},
			},
			{ label: 'body', input: { how: 'body' }, answers: { 'GET /issues': [{ json: { items: issues(1), links: { next: '{{origin}}/api/issues?after=a%20b&x=%5B1%5D' } } }, { json: { items: [], links: {} } }] } },
			{ label: 'relative', input: { how: 'relative' }, answers: { 'GET /issues': [{ json: { items: issues(1), links: { next: '/issues?after=2' } } }, { json: { items: issues(2), links: { next: '/issues?after=2' } } }] } },
		],
	},
	'cursor-in-body': {
		claim: 'a cursor with a dotted name is set inside of the body',
		runs: [{ answers: { 'POST /search': [{ json: { results: [{ id: 'a' }], paging: { next: { after: '10' } } } }, { json: { results: [{ id: 'b' }] } }] } }],
	},
	'cursor-numbers': {
		claim: 'numeric cursors and on_page',
		runs: [{ answers: { 'GET /events': [{ json: { list: [1, 2], next: 2 } }, { json: { list: [3], next: 0 } }, { json: { list: [4], next: null } }] } }],
	},
	'paginate-mistakes': {
		claim: 'missing options are plain errors',
		runs: [
			{ label: 'no type', input: { paginate: {} } },
			{ label: 'unknown type', input: { paginate: { type: 'magic' } } },
			{ label: 'cursor', input: { paginate: { type: 'cursor', cursor_name_in_request: 'c' } } },
			{ label: 'limit without a name', input: { paginate: { type: 'cursor', cursor_name_in_request: 'c', cursor_path_in_response: 'n', limit: 5 } } },
			{ label: 'link', input: { paginate: { type: 'link' } } },
			{ label: 'offset', input: { paginate: { type: 'offset' } } },
		],
	},
	'paginate-early-exit': {
		claim: 'break out of nested loops by label',
		runs: [{ input: { want: 3 }, answers: { 'GET /numbers': [numbers(1, 2, 3), numbers(4, 5, 6), numbers(7)] } }],
	},
	verbs: { claim: 'methods and bodies', runs: [{ answers: { '* /echo': [{ json: { ok: true }, status: 201, statusText: 'Made' }] } }] },
	'query-shapes': { claim: 'parameters are encoded as the original does', runs: [{ answers: { 'GET /q': [echo] } }] },
	'query-odd-values': { claim: 'lists, null and objects in parameters', runs: [{ answers: { 'GET /q': [echo] } }] },
	'query-search-params': { claim: 'URLSearchParams to text', runs: [{ input: { tags: ['b c', 'ä', 'x&y'] }, answers: { 'GET /q': [echo] } }] },
	headers: {
		claim: 'request headers are sent, response headers can be read',
		runs: [{ answers: { 'GET /h': [{ json: {}, headers: { 'X-Request-Id': 'r1', 'X-RateLimit-Remaining': '41', 'x-twice': ['a', 'b'] } }] } }],
	},
	'form-body': { claim: 'form bodies', runs: [{ answers: { 'POST /form': [echo] } }] },
	'json-bodies': { claim: 'JSON bodies as axios writes them', runs: [{ answers: { 'POST /json': [echo] } }] },
	multipart: { claim: 'Buffer bodies are sent as they are', runs: [{ input: { name: 'ü.bin', content: 'AAH/gMOk' }, answers: { 'POST /upload': [echo] } }] },
	download: {
		claim: 'arraybuffer answers are Buffers',
		runs: [{ answers: { 'GET /file': [{ base64: 'iVBORw0KGgoAAP+A', headers: { 'content-type': 'image/png' } }] } }, { label: 'empty', answers: { 'GET /file': [{ base64: '' }] } }],
	},
	'response-types': {
		claim: 'data by answer and responseType',
		runs: [
			{
				answers: {
					'GET /json': [{ json: { a: 1, big: 9007199254740993 } }],
					'GET /text': [{ text: 'hello ü', headers: { 'content-type': 'text/plain' } }],
					'GET /html': [{ text: '<p>hi</p>', headers: { 'content-type': 'text/html' } }],
					'GET /csv': [{ text: 'a,b\n1,2\n', headers: { 'content-type': 'text/csv' } }],
					'GET /empty': [{ text: '', headers: { 'content-type': 'application/json' } }],
					'GET /number': [{ text: '12345', headers: { 'content-type': 'text/plain' } }],
					'GET /broken': [{ text: '{"a":', headers: { 'content-type': 'application/json' } }],
					'GET /bom': [{ base64: '77u/eyJhIjoxfQ==', headers: { 'content-type': 'application/json' } }],
					'GET /gzip': [{ json: { packed: true }, gzip: true }],
					'GET /no-content': [{ status: 204 }],
					'GET /latin': [{ base64: '/+4=', headers: { 'content-type': 'text/plain; charset=iso-8859-1' } }],
				},
			},
		],
	},
	'answer-kinds': {
		claim: 'every responseType, of good and bad answers',
		runs: [
			{
				answers: {
					'GET /text': [{ text: 'plain ü', headers: { 'content-type': 'text/plain' } }],
					'GET /json': [{ json: { a: [1] } }],
					'GET /bytes': [{ base64: 'AAH/gMOk', headers: { 'content-type': 'application/octet-stream' } }],
					'GET /nothing': [{ status: 204 }],
					'GET /bad': [{ status: 404, text: 'no ü', headers: { 'content-type': 'text/plain' } }],
					'GET /bad-json': [{ status: 500, json: { message: 'broken' } }],
				},
			},
		],
	},
	'body-kinds': { claim: 'bodies become what axios makes of them', runs: [{ answers: { '* /body': [echo] } }] },
	'other-methods': { claim: 'other methods, and header names and values', runs: [{ answers: { 'HEAD /m': [{ json: { never: 'seen' }, headers: { 'x-is': 'head' } }], 'OPTIONS /m': [{ status: 204, headers: { 'x-is': 'options' } }], 'GET /h': [echo] } }] },
	'basic-error': {
		claim: 'a provider error becomes script_http_error',
		runs: [
			{ label: 'object', input: { path: '/e' }, answers: { 'GET /e': [{ status: 418, json: { message: 'short', z: 1, a: [2] }, headers: { 'x-ratelimit-left': '3', 'x-other': 'no' } }] } },
			{ label: 'text', input: { path: '/e' }, answers: { 'GET /e': [{ status: 500, text: 'oh no', headers: { 'content-type': 'text/plain' } }] } },
			{ label: 'empty', input: { path: '/e' }, answers: { 'GET /e': [{ status: 403 }] } },
			{ label: 'list', input: { path: '/e' }, answers: { 'GET /e': [{ status: 422, json: [{ field: 'x' }] }] } },
			{ label: 'bytes', input: { path: '/e', type: 'arraybuffer' }, answers: { 'GET /e': [{ status: 400, text: 'not bytes', headers: { 'content-type': 'text/plain' } }] } },
		],
	},
	'catch-error': {
		claim: 'a caught error has the fields of axios',
		runs: [
			{
				answers: {
					'GET /missing': [{ status: 404, json: { message: 'not here' } }],
					'GET /teapot': [{ status: 418, statusText: 'I am a teapot', text: '<b>tea</b>', headers: { 'content-type': 'text/html' } }],
					'GET /broken': [{ status: 503, text: '' }],
					'GET /moved': [{ status: 304 }],
				},
			},
		],
	},
	'provider-error-class': {
		claim: 'subclasses of Error keep instanceof, name and message',
		runs: [{ answers: { 'GET /limited': [{ status: 429, json: {}, headers: { 'retry-after': '17' } }], 'GET /down': [{ status: 502, json: { message: 'bad gateway' } }], 'GET /fine': [echo] } }],
	},
	'action-error': {
		claim: 'ActionError carries its payload',
		runs: [
			{ label: 'object', input: { payload: { n: 1, reason: 'bad', deep: { z: 1, a: ['😀'] } } } },
			{ label: 'text', input: { payload: 'only text' } },
			{ label: 'list', input: { payload: [1, 2] } },
			{ label: 'nothing', input: {} },
			{ label: 'number', input: { payload: 5 } },
		],
	},
	'throw-things': {
		claim: 'whatever is thrown is described',
		runs: [
			...['error', 'range', 'custom', 'text', 'object', 'number', 'name', 'reject', 'null', 'empty', 'nothing thrown'].map((what) => ({ label: what, input: { what }, frames: false })),
			...['property', 'call', 'json'].map((what) => ({ label: what, input: { what }, frames: false, freeMessage: true })),
			{ label: 'undefined', input: { what: 'undefined' }, freeMessage: true },
		],
	},
	'stack-frames': { claim: 'the first frame is the line that threw', runs: [{}] },
	'network-error': {
		claim: 'no answer is script_network_error',
		runs: [
			{ label: 'refused', input: { base: 'http://127.0.0.1:1', path: '/x', catch: false } },
			{ label: 'refused and caught', input: { base: 'http://127.0.0.1:1', path: '/x', catch: true } },
		],
	},
	retries: {
		claim: 'retries happen for 429, 5xx and retryOn only',
		runs: [
			{ label: 'not asked', input: { path: '/r', retries: 0 }, answers: { 'GET /r': [{ status: 503 }] } },
			{ label: 'once', input: { path: '/r', retries: 1 }, answers: { 'GET /r': [{ status: 503 }, { json: { second: true } }] } },
			{ label: 'not for 404', input: { path: '/r', retries: 2 }, answers: { 'GET /r': [{ status: 404, json: {} }] } },
			{ label: 'retryOn', input: { path: '/r', retries: 1, retryOn: [409] }, answers: { 'GET /r': [{ status: 409, json: {} }, { json: { second: true } }] } },
		],
	},
	'base-override': {
		claim: 'base URLs and endpoints are joined',
		runs: [
			{
				input: { origin: '{{origin}}' },
				answers: Object.fromEntries(['/other/x', '/deep/base/v2/x', '//double', '/with%20space/%C3%BC/a%20b', '/dots/b', '/items/1'].map((path) => [`GET ${path}`, [{ json: { path } }]])),
			},
		],
	},
	redirects: {
		claim: 'redirects are followed with the right method',
		runs: [
			{
				answers: {
					'GET /old': [{ status: 301, headers: { location: '/api/new?x=1' } }],
					'GET /new': [{ json: { moved: true } }],
					'POST /created': [{ status: 303, headers: { location: '{{origin}}/api/new' } }],
					'POST /kept': [{ status: 307, headers: { location: '/api/target' } }],
					'POST /target': [{ json: { kept: true } }],
				},
			},
		],
	},
	'fetch-direct': {
		claim: 'uncontrolledFetch sends no credentials',
		runs: [{ input: { url: '{{origin}}/~{{key}}/direct' }, answers: { 'POST /direct': [{ status: 201, json: { a: 'ü' } }] } }],
	},
};
