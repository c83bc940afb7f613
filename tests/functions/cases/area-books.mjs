// Accounts, payments and shops: functions as customers write them.
const input = (value) => ({ input: value });
const charge = (id, created, more) => ({ id, created, amount: 1999, currency: 'usd', status: 'succeeded', ...more });
const spending = (id, amount, date, more) => ({ transaction_id: id, amount, iso_currency_code: 'USD', date, name: `N ${id}`, ...more });
const products = (nodes, more) => ({ json: { data: { products: { edges: nodes.map((node, i) => ({ cursor: `c${i}`, node })), pageInfo: { hasNextPage: false } } }, ...more } });
const product = (id, more) => ({ id: `gid://shopify/Product/${id}?x=1`, title: `P ${id}`, status: 'ACTIVE', tags: ['ž'], variants: { edges: [{ node: { sku: null, price: '10.50', inventoryQuantity: -1 } }, { node: { sku: 's', price: '9.99', inventoryQuantity: null } }] }, ...more });
const order = (id, at, more) => ({ id, name: `#${id}`, updated_at: at, total_price: '10.00', line_items: [], customer: null, ...more });
const buyer = (id, more) => ({ id, email: `${id}@x`, first_name: '', last_name: '', username: `u${id}`, total_spent: '0.00', meta_data: [], ...more });

export default {
	'stripe-create-customer': {
		claim: 'nested fields of a form',
		runs: [{ ...input({ email: 'a+b@c.co', name: null, metadata: { 'a b': 'ž&=', n: 1.5, t: true }, address: { line1: "O'Neil (2)!*", country: 'CZ' }, preferred_locales: ['cs', 'en-US'] }), answers: { 'POST /v1/customers': [{ json: { id: 'cus_1', created: 1704448830, livemode: false } }] } }, { label: 'bad date', ...input({ email: 'x' }), answers: { 'POST /v1/customers': [{ json: { id: 'cus_1', livemode: true } }] } }, { label: 'card', ...input({ email: 'x' }), answers: { 'POST /v1/customers': [{ status: 402, json: { error: { type: 'card_error', code: 'card_declined', message: 'No' } } }] } }],
	},
	'quickbooks-invoice': {
		claim: 'rounding, faults',
		runs: [
			{ ...input({ customer: '1', lines: [{ item: 'a', qty: 3, unit_price: 1.005, tax: true }, { item: 'b', qty: 0.1, unit_price: 0.7 }, { item: 'c', qty: 1e3, unit_price: 19.999 }], due: '2024-02-29' }), answers: { 'POST /v3/company/none/invoice': [{ json: { Invoice: { Id: '7', Balance: '1e3', DocNumber: '12' } } }] } },
			{ label: 'fault', ...input({ customer: '1', lines: [{ item: 'a', qty: 1, unit_price: 1 }] }), answers: { 'POST /v3/company/none/invoice': [{ json: { Fault: { type: 'ValidationFault', Error: [{ code: '610', Message: 'Object Not Found', Detail: 'ž' }, { code: '1', Message: 'm' }] } } }] } },
			{ label: 'invalid', ...input({ customer: 1, lines: [], due: 'x' }) },
		],
	},
	'xero-contacts': {
		claim: 'dates in the old form, tenants',
		runs: [
			{ ...input({ ids: ['a', 'b'], modifiedSince: '2024-01-05T10:00:00+02:00' }), answers: { 'GET /connections': [{ json: [{ tenantId: 't0', tenantType: 'PRACTICE' }, { tenantId: 't1', tenantType: 'ORGANISATION' }] }], 'GET /api.xro/2.0/Contacts': [{ json: { Contacts: [{ ContactID: 'c', Name: 'Ž', IsSupplier: true, UpdatedDateUTC: '/Date(1704448830000+0000)/', Phones: [{ PhoneNumber: '' }, { PhoneNumber: '777', PhoneCountryCode: '420' }], Balances: { AccountsReceivable: { Outstanding: 1234567.5 }, AccountsPayable: { Outstanding: -0.004 } } }, { ContactID: 'd', UpdatedDateUTC: 'x' }] } }] } },
			{ label: 'no tenant', ...input({}), answers: { 'GET /connections': [{ json: [] }] } },
			{ label: 'not modified', ...input({}), answers: { 'GET /connections': [{ json: [{ tenantId: 't' }] }], 'GET /api.xro/2.0/Contacts': [{ status: 304 }] } },
		],
	},
	'paypal-verify-webhook': { claim: 'signatures and check sums', runs: [{ ...input({ body: '{"id":"ž😀","n":1}', secret: 'klíč', signature: 'abcd' }), answers: { 'POST /v1/notifications/verify-webhook-signature': [{ json: { verification_status: 'SUCCESS' } }] } }, { label: 'no JSON', ...input({ body: 'not json', secret: '' }) }] },
	'netsuite-suiteql': { claim: 'offsets by hand, groups, long ids', runs: [{ ...input({ status: ["A'B", 'ž'], from: '2024-01-01' }), answers: { 'POST /query/v1/suiteql': [{ json: { items: [{ id: '9007199254740993', tranid: 'INV1', foreigntotal: '10.10' }, { id: '9007199254740992', tranid: 'INV2', foreigntotal: '0.2' }], count: 2, hasMore: true } }, { json: { items: [{ id: '5', tranid: 7, foreigntotal: 'x' }], hasMore: false } }] } }, { label: 'none', ...input({ status: [], from: '' }), answers: { 'POST /query/v1/suiteql': [{ json: { items: [], hasMore: false } }] } }] },
	'plaid-transactions': {
		claim: 'changes are merged until there are no more',
		runs: [{ input: {}, answers: { 'POST /transactions/sync': [{ json: { added: [spending('a', 0.1, '2024-01-05', { personal_finance_category: { primary: 'FOOD_AND_DRINK' }, location: { lat: null } }), spending('b', 0.2, '2024-01-06', { personal_finance_category: { primary: 'FOOD_AND_DRINK' } })], modified: [], removed: [{ transaction_id: 'z' }], has_more: true, next_cursor: 'k1' } }, { json: { added: [], modified: [spending('c', -5, '2024-01-06')], removed: [{ transaction_id: 'a' }], has_more: false, next_cursor: 'k2' } }] } }, { label: 'invalid', input: { cursor: 'x' }, answers: { 'POST /transactions/sync': [{ json: { added: [spending(1, 'x', '2024-1-5', { personal_finance_category: { primary: 'P', confidence_level: 'NONE' } })], has_more: 1 } }] } }],
	},
	'chargebee-odd-answers': { claim: 'what is thrown without checks', runs: [{ input: {}, answers: { 'GET /api/v2/odd': [{ json: { nothing: null, customer: { id: 1 }, items: [{ id: 1 }], text: 'some text', bracket: '([', count: 5 } }] } }] },
	'recurly-odd-answers': {
		claim: 'words of the engine for what is thrown without checks',
		differs: 'V8 quotes a pattern of one name that is taken apart, the operands of "in" and a refused regular expression; Node 22 words some otherwise than Node 20, which the runner follows',
		runs: [{ input: {}, answers: { 'GET /api/v2/odd': [{ json: { nothing: null, customer: { id: 1 }, items: [{ id: 1 }], text: 'some text', bracket: '([', count: 5 } }] } }],
	},
	'stripe-charges': { claim: 'starting_after, newest first', runs: [{ steps: [{ answers: { 'GET /v1/charges': [{ json: { data: [charge('c3', 300, { amount_refunded: 667 }), charge('c2', 200, { currency: 'jpy', amount: 5000 })], has_more: true } }, { json: { data: [charge('c1', 100, { amount: 0 })], has_more: false } }] } }, { answers: { 'GET /v1/charges': [{ json: { data: [], has_more: true } }] } }, { answers: { 'GET /v1/charges': [{ json: { data: [{ id: 'c9', created: 900 }] } }] } }] }] },
	'quickbooks-customers': { claim: 'positions in a query text', runs: [{ steps: [{ answers: { 'GET /v3/company/1/query': [{ json: { QueryResponse: { Customer: [{ Id: '1', DisplayName: 'ﬁ Ⅷ', Notes: 'a; b\nc;' }, { Id: '2', DisplayName: 'e\u0301', Balance: 1.25 }] } } }, { json: { QueryResponse: {} } }] } }, { answers: { 'GET /v3/company/1/query': [{ json: { QueryResponse: { Customer: [{ Id: '2', DisplayName: '\u00e9' }] } } }] } }] }] },
	'xero-invoices': {
		claim: 'metadata keep the tenant',
		runs: [
			{ steps: [{ answers: { 'GET /connections': [{ json: [{ tenantId: 't-1' }] }], 'GET /api.xro/2.0/Invoices': [{ json: { Invoices: [{ InvoiceID: 'a', InvoiceNumber: '', Total: 10.1, FullyPaidOnDate: '/Date(1704448830000+0000)/' }, { InvoiceID: 'b', InvoiceNumber: 'F', Total: 0, LineItems: [{ Description: ' ž ', LineAmount: 0.1 }, {}] }] } }, { json: { Invoices: [{ InvoiceID: 'c', Status: 'VOIDED' }] } }] } }, { answers: { 'GET /api.xro/2.0/Invoices': [{ json: { Invoices: [{ InvoiceID: 'a', Status: 'DELETED' }] } }] } }] },
			{ label: 'two tenants', answers: { 'GET /connections': [{ json: [{ tenantName: 'A' }, { tenantName: 'B' }] }] } },
		],
	},
	'shopify-graphql-products': { claim: 'transforms of edges', runs: [{ ...input({ search: 'title:ž*' }), answers: { 'POST /admin/api/2024-07/graphql.json': [{ json: { data: { products: { edges: [{ cursor: 'k', node: product(1) }], pageInfo: { hasNextPage: true } } }, extensions: { cost: { throttleStatus: { currentlyAvailable: 3, maximumAvailable: 1000 } } } }, headers: { 'X-Request-Id': 'r-1' } }, products([product(2, { status: 'DRAFT', variants: { edges: [{ node: { sku: 'q', price: '100', inventoryQuantity: 5 } }] } })])] } }, { label: 'errors', ...input({}), answers: { 'POST /admin/api/2024-07/graphql.json': [{ json: { errors: [{ message: 'x' }] } }] } }, { label: 'invalid', ...input({}), answers: { 'POST /admin/api/2024-07/graphql.json': [products([product(2, { status: 'GONE', variants: {}, tags: 'a' })])] } }] },
	'woo-order': { claim: 'tuples, maps, literals of several', runs: [{ ...input({ lines: [[1, 2], [3, 4]], coupon: 'SLEVAŽ', shipping: { method: 'flat', cost: 1.005 }, meta: { a: 'ž', 1: 'x' }, paid: 'yes' }), answers: { 'POST /wp-json/wc/v3/orders': [{ status: 201, json: { id: 5, total: '12.30 CZK', date_created_gmt: '2024-01-05T10:00:00' } }] } }, { label: 'invalid', ...input({ lines: [[1, 0], [1.5], 'x'], shipping: { method: 'x', cost: -1 }, meta: { a: 1 }, paid: 'maybe' }) }, { label: 'empty', ...input({ lines: [] }) }] },
	'amazon-signed': { claim: 'canonical form and chained signatures', runs: [{ ...input({ path: '/orders/v0/orders', query: { MarketplaceIds: 'A1*(x)', 'Created After': "2024-01-05T10:00:00Z'!", 'ž': '~-_.' }, date: '2024-01-05T10:00:30.123Z' }), answers: { 'GET /orders/v0/orders': [{ json: { payload: [] } }] } }] },
	'bigcommerce-wait-job': {
		claim: 'an async generator that throws, finally that awaits',
		runs: [
			{ ...input({ max: 5 }), answers: { 'POST /v3/jobs': [{ status: 202, headers: { Location: '/v3/jobs/1' } }], 'GET /v3/jobs/1': [{ json: { state: 'new' } }, { json: { state: 'done', result: [1] } }], 'DELETE /v3/jobs/1': [{ status: 204 }] } },
			{ label: 'failed', ...input({ max: 5 }), answers: { 'POST /v3/jobs': [{ status: 202, headers: { Location: '/v3/jobs/1' } }], 'GET /v3/jobs/1': [{ json: { state: 'failed', reason: 'ž' } }], 'DELETE /v3/jobs/1': [{ status: 204 }] } },
			{ label: 'too long', ...input({ max: 2 }), answers: { 'POST /v3/jobs': [{ status: 202, headers: { Location: '/v3/jobs/1' } }], 'GET /v3/jobs/1': [{ json: { state: 'new' } }], 'DELETE /v3/jobs/1': [{ status: 204 }] } },
			{ label: 'finally fails', ...input({ max: 2 }), answers: { 'POST /v3/jobs': [{ status: 202, headers: { Location: '/v3/jobs/1' } }], 'GET /v3/jobs/1': [{ json: { state: 'done' } }], 'DELETE /v3/jobs/1': [{ status: 409, json: { title: 'busy' } }] } },
		],
	},
	'etsy-listing-upload': { claim: 'bytes of another host, put and patch at once', runs: [{ unordered: true, ...input({ listing: 5, image: '{{origin}}/~{{key}}/cdn', tags: [' A', 'a', 'ž'] }), answers: { 'GET /cdn/img.jpg': [{ base64: '/9j/4AAQSkZJRg==', headers: { 'content-type': 'image/jpeg' } }], 'PUT /v3/listings/5/image': [{ status: 201, json: {} }], 'PATCH /v3/listings/5': [{ json: { tags: 2 } }] } }] },
	'shopify-orders': { claim: 'page_info out of a header', runs: [{ steps: [{ answers: { 'GET /admin/api/2024-07/orders.json': [{ json: { orders: [order(1, '2024-01-05T10:00:00-05:00', { line_items: [{ sku: 'a', quantity: 2 }, { sku: '', title: 'Ž', quantity: 1 }, { sku: 'a', quantity: 3 }], customer: { id: 6789012345678, email: null } }), order(2, '2024-01-06T10:00:00-05:00', { total_price: '1000.01' })] }, headers: { Link: '<https://x.example/admin/orders.json?limit=2&page_info=prev>; rel="previous", <https://x.example/admin/orders.json?limit=2&page_info=eyJ%3D%3D>; rel="next"' } }, { json: { orders: [] } }] } }, { answers: { 'GET /admin/api/2024-07/orders.json': [{ json: { orders: [order(1, '2024-01-07')] } }] } }, { answers: { 'GET /admin/api/2024-07/orders.json': [{ json: { errors: 'Not Found' } }] } }] }] },
	'square-catalog': { claim: 'two models out of a mixed list', runs: [{ steps: [{ answers: { 'GET /v2/catalog/list': [{ json: { objects: [{ type: 'ITEM', id: 'i1', item_data: { name: 'Ž', category_id: 'c1', variations: [{ id: 'v', item_variation_data: { price_money: { amount: 100 } } }, { id: 'w', item_variation_data: {} }] } }, { type: 'CATEGORY', id: 'c1', category_data: { name: 'C' } }], cursor: 'n' } }, { json: { objects: [{ type: 'TAX', id: 't' }, { type: 'ITEM', id: 'i2', is_deleted: true, item_data: { name: 'x' } }] } }] } }, { answers: { 'GET /v2/catalog/list': [{ json: { objects: [{ type: 'ITEM', id: 'i3', item_data: { name: 'y' } }, { type: 'CATEGORY', id: 'c2', category_data: { name: 'D' } }] } }] } }, { answers: { 'GET /v2/catalog/list': [{ json: { objects: [{ type: 'MENU', id: 'm' }] } }] } }] }] },
	'woo-customers': { claim: 'the number of pages is a header', runs: [{ answers: { 'GET /wp-json/wc/v3/customers': [{ json: [buyer(1, { first_name: 'Ž', meta_data: [{ key: 'k', value: { a: [1] } }, { key: '_h', value: 1 }] }), buyer(2, { total_spent: 'NaN' })], headers: { 'X-WP-TotalPages': '2' } }, { json: [buyer(2), buyer(3, { total_spent: '12.5' })] }] } }] },
};
