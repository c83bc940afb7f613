// Syncs: each step is one run of the sync on the same connection.
const product = (id, at, more = {}) => ({ id, title: ` Product ${id} `, price: `${id}.50`, updated_at: at, ...more });
const products = (list, token) => ({ json: { products: list, paging: { next_token: token } } });
const order = (id, more) => ({ id, name: `#${id}`, line_items: [{}, {}], ...more });
const orders = (list, next) => ({ json: { orders: list }, ...(next && { headers: { link: `<{{origin}}/api/admin/orders.json?limit=2&page_info=${next}>; rel="next"` } }) });
const users = (...list) => ({ json: { result: { users: list } } });
const member = (id) => ({ id, name: `Member ${id}` });
const page = (n) => ({ json: { n } });
const graph = (nodes, cursor) => ({ json: { data: { projects: { nodes, pageInfo: { hasNextPage: cursor !== undefined, endCursor: cursor ?? null } } } } });
const project = (id, lead) => ({ id, name: `P ${id}`, lead: lead && { email: lead }, members: { nodes: [{ id: 'm1' }, { id: 'm2' }] } });
const party = (id, name) => ({ json: { id, name } });

export default {
	'contacts-full': {
		claim: 'batchSave and trackDeletes',
		runs: [
			{
				steps: [
					{ answers: { 'GET /contacts': [{ json: { data: [{ id: 1, name: 'Ada', updated: 'x' }, { id: 2, name: '😀', updated: 'y' }] } }, { json: { data: [{ id: 3, name: 'Žofie', updated: 'z' }] } }, { json: { data: [] } }] } },
					{ answers: { 'GET /contacts': [{ json: { data: [{ id: 1, name: 'Ada', updated: 'x' }, { id: 3, name: 'Žofie II', updated: 'z' }] } }, { json: { data: [] } }] } },
					{ answers: { 'GET /contacts': [{ json: { data: [{ id: 2, name: 'back', updated: 'y' }] } }, { json: { data: [] } }] } },
				],
			},
		],
	},
	'deals-incremental': {
		claim: 'checkpoints, batchSave, batchDelete',
		runs: [
			{
				steps: [
					{ answers: { 'GET /deals': [{ json: [{ id: 'd1', amount: 1.5, at: '2024-01-01' }, { id: 'd2', amount: 2, at: '2024-01-03' }, { id: 'd9', gone: true, at: '2024-01-02' }] }] } },
					{ answers: { 'GET /deals': [{ json: [{ id: 'd1', gone: true, at: '2024-02-01' }, { id: 'd2', amount: 2, at: '2024-01-03' }] }] } },
					{ answers: { 'GET /deals': [{ json: [] }] } },
					{ mode: 'full_refresh', answers: { 'GET /deals': [{ json: [{ id: 'd1', amount: 7, at: '2024-03-01' }] }] } },
					{ mode: 'full_refresh_and_clear_cache', answers: { 'GET /deals': [{ json: [{ id: 'd3', amount: 8, at: '2024-03-02' }] }] } },
				],
			},
		],
	},
	'tickets-update': { claim: 'records read back, batchUpdate', runs: [{ steps: [{}, {}] }] },
	'products-cursor': {
		claim: 'an incremental sync by cursor',
		runs: [
			{
				steps: [
					{ answers: { 'GET /products.json': [products([product(1, '2024-01-05T10:20:30+02:00'), product(2, '2024-01-01'), product(3, '2024-01-04', { variants: [{ sku: 's', inventory_quantity: 3 }, { sku: 't' }] })], 'n2'), products([product(9007199254740991, '2024-01-02T00:00:00.5Z')], '')] } },
					{ answers: { 'GET /products.json': [products([product(2, '2024-02-01T00:00:00Z')], null)] } },
					{ answers: { 'GET /products.json': [products([product(3, '2024-02-02')], 'more'), { status: 404, json: { message: 'gone' } }] } },
				],
			},
		],
	},
	'orders-link': {
		claim: 'a full sync by links with deletions',
		runs: [{ steps: [{ answers: { 'GET /admin/orders.json': [orders([order(1), order(2, { customer: { first_name: 'Ada', last_name: null } })], 'p2'), orders([order(3, { customer: { first_name: 'Žofie', last_name: 'K' } })])] } }, { answers: { 'GET /admin/orders.json': [orders([order(2), order(4)])] } }, { answers: { 'GET /admin/orders.json': [orders([])] } }] }],
	},
	'users-offset': {
		claim: 'pages by number, archived users are deleted',
		runs: [
			{
				steps: [
					{ answers: { 'GET /users': [users({ id: 1, email: 'A@B.co', roles: ['b', 'a', 'b'] }, { id: 2, email: 'x@y', roles: [], archived: true }), users({ id: 3, email: 'Ž@ü', roles: ['z'] })] } },
					{ answers: { 'GET /users': [users({ id: 1, email: 'A@B.co', roles: [], archived: true }, { id: 2, email: 'x@y', roles: [] }), users({ id: 3, email: 'ž@ü', roles: ['z'] }, { id: 3, email: 'twice', roles: [] }), users()] } },
				],
			},
		],
	},
	'inventory-hash': {
		claim: 'hashes as ids, nothing is written when nothing changed',
		runs: [{ steps: [{ answers: { 'GET /inventory.csv': [{ text: 'sku;Praha;Wien\r\n"A ""1""";3;4\r\ne\u0301;x;0\r\n', headers: { 'content-type': 'text/csv' } }] } }, { answers: { 'GET /inventory.csv': [{ text: 'sku;Praha;Wien\r\n"A ""1""";3;4\r\ne\u0301;x;0\r\n', headers: { 'content-type': 'text/csv' } }] } }, { answers: { 'GET /inventory.csv': [{ text: 'sku;Praha\n\u00e9;9\n', headers: { 'content-type': 'text/csv' } }] } }] }],
	},
	'invoices-unified': {
		claim: 'a common shape, two models, modules beside',
		runs: [
			{
				answers: {
					'POST /invoices/search': [
						{
							json: {
								hits: [
									{ invoice_id: 1, no: 'F-1', state: 'sent', total: '1 234,50 Kč', currency: 'czk', due: 1704448830, customer: { address: { street: ' Hlavní 5 ', city: 'Praha', country: 'Czechia' } }, rows: [{ sku: 'x', qty: '2', price: '9,99' }, { qty: 1, price: 0.1 }] },
									{ invoice_id: '2', state: 'strange', total: -0.005, due: 'Jan 5, 2024', customer: {}, rows: [] },
									{ invoice_id: null, no: 7, state: 'PAID', total: null, due: 'never', customer: { address: { country: 'Deutschland' } } },
									{ invoice_id: 'ü😀', total: '12', currency: 'usd', customer: { address: { street: '', city: null, country: 'de' } } },
								],
							},
						},
					],
				},
			},
		],
	},
	'graph-projects': {
		claim: 'GraphQL with a checkpoint',
		runs: [
			{ steps: [{ answers: { 'POST /graphql': [graph([project('a', 'l@x'), project('b')], 'Y3Vy'), graph([project('c', '')])] } }, { answers: { 'POST /graphql': [graph([])] } }] },
			{ label: 'errors', answers: { 'POST /graphql': [{ json: { data: null, errors: [{ message: 'no access' }, { message: 'really' }] } }] } },
		],
	},
	'files-content': {
		claim: 'downloads become base64',
		runs: [{ answers: { 'GET /files': [{ json: [{ id: 'f1', name: 'a b.png' }, { id: 'f2', name: 'Ü.txt' }, { id: 'f3', name: 'empty' }] }], 'GET /files/a%20b.png': [{ base64: 'iVBORw0KGgoAAP+A', headers: { 'content-type': 'image/png' } }], 'GET /files/%C3%9C.txt': [{ text: 'žluťoučký 🐎', headers: { 'content-type': 'text/plain; charset=utf-8' } }], 'GET /files/empty': [{ base64: '', headers: { 'content-type': 'application/pdf' } }] } }],
	},
	'half-way': {
		claim: 'a failed run keeps its records and its checkpoint',
		runs: [
			{
				steps: [
					{ answers: { 'GET /pages/1': [page(1)], 'GET /pages/2': [page(2)], 'GET /pages/3': [{ json: { stop: 'quota' } }] } },
					{ answers: { 'GET /pages/3': [{ status: 503, json: { message: 'later' } }] } },
					{ answers: { 'GET /pages/3': [page(3)], 'GET /pages/4': [page(4)] } },
					{ answers: { 'GET /pages/1': [page(10)], 'GET /pages/2': [page(2)], 'GET /pages/3': [page(3)], 'GET /pages/4': [page(4)] } },
				],
			},
		],
	},
	'sync-errors': {
		claim: 'how a sync fails',
		runs: ['error', 'type', 'provider', 'model', 'id', 'text', 'zod', 'end', 'caught', 'not at all'].map((how) => ({ label: how, metadata: { how }, freeMessage: ['model', 'id', 'end'].includes(how), answers: { 'GET /broken': [{ status: 418, json: { tea: true } }] } })),
	},
	'merge-records': { claim: 'batchUpdate merges deeply, lists are replaced', runs: [{ steps: [{}, {}] }] },
	'read-records': { claim: 'getRecordsByIds and listRecords', runs: [{ steps: [{}, {}] }] },
	'many-records': { claim: 'thousands of records, ids twice', runs: [{ steps: [{ answers: { 'GET /range': [{ json: { from: 0, to: 2500 } }] } }, { answers: { 'GET /range': [{ json: { from: 2400, to: 2700 } }] } }] }] },
	'details-parallel': {
		claim: 'fifty requests at a time',
		runs: [{ unordered: true, answers: { 'GET /ids': [{ json: Array.from({ length: 70 }, (_, i) => i) }], 'GET /detail': [{ json: { size: 1, a: 'x', b: [1] } }] } }],
	},
	'parties-class': {
		claim: 'classes, async generators and modules beside',
		runs: [
			{
				unordered: true,
				answers: {
					'GET /v2/parties/': [{ json: { items: [{ id: 'a b' }, { id: 'ü' }], next: 't1' } }, { json: { items: [{ id: '3' }] } }, { json: { items: [] } }],
					...{ 'GET /v2/parties/a%20b': [party('a b', { first: 'Ada' })], 'GET /v2/parties/%C3%BC': [party('ü', 'Ümit')], 'GET /v2/parties/3': [party('3', {})] },
				},
			},
		],
	},
	'deletes-declared': { claim: 'trackDeletes in the definition', runs: [{ steps: [{ answers: { 'GET /members': [{ json: [member('1'), member('2')] }] } }, { answers: { 'GET /members': [{ json: [member('2')] }] } }, { answers: { 'GET /members': [{ status: 500 }] } }, { answers: { 'GET /members': [{ json: [] }] } }] }] },
	'deletes-previous': { claim: 'deleteRecordsFromPreviousExecutions', runs: [{ steps: [{ answers: { 'GET /members': [{ json: [member('1'), member('2'), member('3')] }] } }, { answers: { 'GET /members': [{ json: [member('2'), { id: '4', name: 'new' }] }] } }] }] },
	'deletes-resumed': {
		claim: 'trackDeletesStart survives a failed run',
		runs: [
			{
				steps: [
					{ answers: { 'GET /members': [{ json: [member('1'), member('2')] }, { json: [member('3')] }, { json: [member('4')] }] } },
					{ answers: { 'GET /members': [{ json: [member('1')] }, { status: 500, json: {} }] } },
					{ answers: { 'GET /members': [{ json: [member('3')] }, { json: [] }] } },
				],
			},
		],
	},
	'many-schemas': { claim: 'a sync of thirty-four schemas', runs: [{ answers: { 'GET /crm/bundle': [{ json: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`kind${i}`, [{ id: i, name: ` N${i} `, at: '2024-01-05', amount: `${i}.5`, owner: i % 2 ? { id: `o${i}` } : null }, { id: -1 }, { id: `x${i}`, name: 'ü', tags: ['a', 1] }]])) }] } }] },
	'odd-texts': { claim: 'every script, sign and number in records', runs: [{ steps: [{ answers: { 'GET /texts': [{ json: { s: '😀 \u2028 "x"', n: [1e21, 1e-7, 0.1, -0], 'k\u0301': null } }] } }, { answers: { 'GET /texts': [{ json: 'only text 🏳️' }] } }] }] },
	'null-character': { claim: 'U+0000 in records', runs: [{}] },
	'large-records': { claim: 'a megabyte, nested deeply', runs: [{}] },
	'sync-object': { claim: 'the members of nango in a sync', runs: [{}] },
	'newer-wins': { claim: 'ignore_if_modified_after without a newer change', runs: [{ steps: [{ answers: { 'GET /rows': [{ json: [{ id: '1', n: 1 }, { id: '2', n: 2 }] }] } }, { answers: { 'GET /rows': [{ json: [{ id: '1', n: 3 }] }] } }] }] },
	'checkpoint-kinds': { claim: 'what a checkpoint takes', runs: [{ steps: [{}, {}] }] },
	'metadata-fields': {
		claim: 'metadata steer a sync',
		runs: [
			{ metadata: { fields: { name: 'properties.first name', 'město': 'address.city' } }, answers: { 'GET /leads': [{ json: { results: [{ id: '1', properties: { 'first name': 'Ada' }, address: null }, { id: '2', address: { city: 'Brno' } }] } }] } },
			{ label: 'none', metadata: { fields: {} } },
		],
	},
	'hook-tickets': {
		claim: 'webhooks save, merge and delete',
		runs: [
			{
				steps: [
					{},
					{ webhook: { type: 'ticket.created', connectionId: '{{key}}', ticket: [{ id: 1, status: 'open', notes: ['😀'] }, { id: 2, status: 'open', meta: { a: { b: 1 }, list: [1, 2] } }] } },
					{ webhook: { type: 'ticket.updated', connectionId: '{{key}}', ticket: { id: 2, changes: { status: 'closed', meta: { a: { c: 2 }, list: [3] } } } } },
					{ webhook: { type: 'ticket.deleted', connectionId: '{{key}}', ticket: { id: 1 } } },
					{ webhook: { type: 'ticket.broken', connectionId: '{{key}}' } },
				],
			},
		],
	},
	'hook-any': { claim: 'a subscription to everything', runs: [{ steps: [{ webhook: { type: 'whatever', connectionId: '{{key}}', data: { z: 1, a: ['ü', null, 1e21] } } }, { webhook: { type: 'other', connectionId: '{{key}}', data: 'text' } }] }] },
};
