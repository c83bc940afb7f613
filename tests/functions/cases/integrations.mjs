const folder = (name, folders = [], ...files) => ({ json: { name, folders, files: files.map(([file, size]) => ({ name: file, size })) } });
const rows = Array.from({ length: 3000 }, (_, i) => ({
	id: 1e6 + i,
	name: `${'Žofie Émile ápple Zed'.split(' ')[i % 4]} ${(i * 7919) % 1000}`,
	owner: i % 11 === 0 ? null : { id: i % 17, email: `user${i % 17}@example.com` },
	updated_at: new Date(1.7e12 + ((i * 104729) % 1e9) * 1000).toISOString(),
}));

export default {
	'shared-module': {
		claim: 'a function of two modules',
		runs: [
			{
				unordered: true,
				input: { ids: [1, 2] },
				answers: {
					'GET /customers/1': [{ json: { id: 1, address: { street: ' Hlavní 5 ', city: 'Praha', postal_code: 11000, country_code: 'cz' }, orders: [{ total: '19,99', currency: 'CZK' }, { total: '0.1', currency: 'EUR' }, { total: '5', currency: 'CZK' }] } }],
					'GET /customers/2': [{ json: { id: 2, orders: [] } }],
				},
			},
		],
	},
	'create-contact': {
		claim: 'creates, finds or refuses',
		runs: [
			{ label: 'created', input: { email: 'a@b.co', firstName: 'Ada', custom: { vip: true, score: 7, none: null } }, answers: { 'POST /contacts': [{ status: 201, json: { id: 101 } }] } },
			{ label: 'exists', input: { email: 'a@b.co' }, answers: { 'POST /contacts': [{ status: 409, json: { message: 'Contact already exists. Existing ID: 42' } }] } },
			{ label: 'cannot be found', input: { email: 'a@b.co' }, answers: { 'POST /contacts': [{ status: 409, json: { message: 'conflict' } }] } },
			{ label: 'refused', input: { email: 'a@b.co' }, answers: { 'POST /contacts': [{ status: 400, json: { status: 'error', errors: [{ code: 'BAD' }] } }] } },
			{ label: 'bad input', input: { email: 'nobody' } },
		],
	},
	'upsert-batch': {
		claim: 'chunks, duplicates and partial failure',
		runs: [{ input: { rows: [['a', 1], ['B', 2], ['A', 5], ['c', 3], ['d', 4]].map(([sku, qty]) => ({ sku, qty })) }, answers: { 'PUT /stock/batch': [{ json: { written: 2 } }, { status: 422, json: { errors: [{ message: 'no such sku' }] } }] } }],
	},
	'poll-export': {
		claim: 'polls until done',
		runs: [
			{ label: 'done', answers: { 'POST /exports': [{ json: { id: 'e/1' } }], 'GET /exports/e%2F1': [{ json: { state: 'pending' } }, { json: { state: 'pending' } }, { json: { state: 'done' } }], 'GET /exports/e%2F1/file': [{ text: 'id,name\r\n1,"Ada, ""the"" first"\r\n2,Žofie\r\n', headers: { 'content-type': 'text/csv' } }] } },
			{ label: 'failed', answers: { 'POST /exports': [{ json: { id: 'x' } }], 'GET /exports/x': [{ json: { state: 'failed' } }] } },
		],
	},
	graphql: {
		claim: 'GraphQL',
		runs: [
			{ input: { first: 2 }, answers: { 'POST /graphql': [{ json: { data: { issues: { nodes: [{ title: 'one' }, { title: 'two' }], pageInfo: { hasNextPage: true, endCursor: 'Y3Vyc29yMg==' } } } } }, { json: { data: { issues: { nodes: [{ title: 'three' }], pageInfo: { hasNextPage: false } } } } }] } },
			{ label: 'errors', input: { first: 2 }, answers: { 'POST /graphql': [{ json: { data: null, errors: [{ message: 'no access', path: ['issues', 0] }] } }] } },
		],
	},
	'tree-walk': {
		claim: 'recursion over folders, cycles included',
		runs: [{ input: { root: 'r' }, answers: { 'GET /folders/r': [folder('root', ['a', 'b'], ['x.txt', 1])], 'GET /folders/a': [folder('A', ['r', 'c'])], 'GET /folders/b': [folder('B', ['c'], ['y', 2], ['z', 3])], 'GET /folders/c': [folder('C', [], ['deep', 10])] } }],
	},
	'rate-limited-client': { claim: 'own retries around requests', runs: [{ input: { paths: ['/a', '/b'] }, answers: { 'GET /a': [{ status: 429, headers: { 'Retry-After': '2' } }, { json: 'a' }], 'GET /b': [{ json: 'b' }] } }, { label: 'given up', input: { paths: ['/a'] }, answers: { 'GET /a': [{ status: 429, json: { slow: 'down' }, headers: { 'retry-after': '1' } }] } }] },
	'date-windows': { claim: 'windows of dates', runs: [{ input: { from: '2024-02-20', to: '2024-03-10T12:00:00+02:00' }, answers: { 'GET /report': [{ json: { count: 3 } }] } }, { label: 'days', input: { from: '2023-12-30T23:00:00Z', to: '2024-01-02', days: 1 }, answers: { 'GET /report': [{ json: { count: 1 } }] } }] },
	soql: { claim: 'a query in a parameter', runs: [{ input: { name: "O'Br\\ien & Söhne 100%", since: '2024-01-05' }, answers: { 'GET /services/data/v60.0/query': [{ json: { records: [{ attributes: { type: 'Account' }, Id: '1' }], nextRecordsUrl: '/services/data/v60.0/query/01g-2000' } }], 'GET /services/data/v60.0/query/01g-2000': [{ json: { records: [{ Id: '2' }] } }] } }] },
	'webhook-signature': { claim: 'signed requests', runs: [{ input: { path: '/objects', query: { prefix: 'a b/ü', max: '10', 'x-id': "it's" }, at: '2024-01-05T10:20:30.400Z' }, answers: { 'GET /objects': [{ json: {} }] } }] },
	'attachment-upload': { claim: 'bytes in and out', runs: [{ answers: { 'GET /attachments/1': [{ base64: 'JVBERi0xLjcK/wD+', headers: { 'content-type': 'application/pdf', 'content-disposition': "attachment; filename*=UTF-8''Rechnung%20M%C3%A4rz.pdf" } }], 'PUT /files/Rechnung%20M%C3%A4rz.pdf': [{ status: 204 }], 'POST /notes': [{ json: {} }] } }] },
	'html-to-text': { claim: 'HTML to text', runs: [{ answers: { 'GET /mail.html': [{ text: '<html><style>p{}</style><p>Hello&nbsp;<b>Žofie</b> &amp; &#128512;&#x41;</p><br/><a class="x" href="../reply?id=1&to=2">Reply</a> <a href="https://ex.com">x</a><script>alert("<b>")</script></html>', headers: { 'content-type': 'text/html; charset=utf-8' } }] } }] },
	'large-list': { claim: 'a long list', runs: [{ answers: { 'GET /rows': [{ json: rows }] } }] },
	'big-output': { claim: 'outputs up to 2 MiB', runs: [{ input: { bytes: 1000000 } }, { label: 'just fits', input: { bytes: 2097150 } }, { label: 'too large', input: { bytes: 2097152 }, freeMessage: true }] },
	outputs: { claim: 'outputs of every kind', runs: ['undefined', 'null', 'false', 'zero', 'empty', 'text', 'number', 'list', 'date', 'map', 'buffer', 'toJSON', 'getter', 'instance', 'error', 'separators'].flatMap((kind) => [{ label: kind, input: { kind } }, { label: `${kind}, queued`, queued: true, input: { kind } }]) },
	'module-state': { claim: 'module state is fresh in each run', runs: [{ label: 'first', input: { tag: 'a' } }, { label: 'second', input: { tag: 'b' } }] },
	timers: { claim: 'timers', runs: [{}] },
	'decorated-config': { claim: 'TypeScript only syntax', runs: [{ answers: { 'GET /configured': [{ json: { list: ['x', 'y'] } }] } }] },
	'repo-issues': {
		claim: 'pagination defaults of the provider',
		runs: [{ input: { base: '{{origin}}/api' }, answers: { 'GET /repos/a/b/issues': [{ json: [{ title: 'one' }, { title: 'pr', pull_request: {} }], headers: { link: '<{{origin}}/api/repos/a/b/issues?state=all&per_page=100&page=2>; rel="next"' } }, { json: [{ title: 'two' }] }] } }],
	},
	'file-content': { claim: 'headers of the provider and of the function', runs: [{ input: { base: '{{origin}}/api', path: 'docs/Ü ber.md' }, answers: { 'GET /repos/a/b/contents/docs/%C3%9C%20ber.md': [{ json: { content: 'SGFs\nbG8g8J+YgA==', encoding: 'base64', sha: 'abcdef0123456' } }] } }] },
	'hub-contacts': { claim: 'provider pagination, own limit', runs: [{ input: { base: '{{origin}}/api' }, answers: { 'GET /crm/v3/objects/contacts': [{ json: { results: [{ properties: { email: 'A@B' } }, {}], paging: { next: { after: '2' } } } }, { json: { results: [{ properties: { email: null } }] } }] } }] },
	'basic-me': { claim: 'basic credentials', runs: [{ answers: { 'GET /me': [{ json: { me: 1 } }] } }] },
};
