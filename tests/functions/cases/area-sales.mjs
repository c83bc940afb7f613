// CRM: functions as customers write them.
const company = (id, at, more = {}) => ({ id, properties: { name: `Co ${id}`, domain: null, hs_lastmodifieddate: at, ...more } });
const account = (id, at, more = {}) => ({ attributes: { type: 'Account' }, Id: id, Name: `A ${id}`, LastModifiedDate: at, ...more });
const deal = (id, more) => ({ id, title: `  Deal \n ${id} `, value: '12.50', status: 'open', stage_id: 4, person_id: null, update_time: '2024-03-01 10:00:00', ...more });
const contact = (id, more) => ({ '@odata.etag': `W/"${id}00"`, contactid: `c${id}`, fullname: `Žofie ${id}`, emailaddress1: null, ...more });
const input = (value) => ({ input: value });

export default {
	'hubspot-get-deal': {
		claim: 'one object, parsed and mapped',
		runs: [
			{ ...input({ dealId: '1/ü', properties: ['dealname', 'amount'] }), answers: { 'GET /crm/v3/objects/deals/1%2F%C3%BC': [{ json: { id: '1', properties: { dealname: 'Velký 🎉', amount: '1234.50', closedate: '2024-02-29T23:00:00Z' }, archived: false, createdAt: 'x', url: 'u', associations: { contacts: { results: [{ id: '7', type: 't' }, { id: '7', type: 'u' }, { id: '9', type: 't' }] } } } }] } },
			{ label: 'nearly empty', ...input({ dealId: '2' }), answers: { 'GET /crm/v3/objects/deals/2': [{ json: { id: '2' } }] } },
			{ label: 'no body', ...input({ dealId: '2' }), answers: { 'GET /crm/v3/objects/deals/2': [{ status: 200 }] } },
			{ label: 'bad shape', ...input({ dealId: '2' }), answers: { 'GET /crm/v3/objects/deals/2': [{ json: { id: 2, properties: { a: 1 }, archived: 'no' } }] } },
			{ label: 'missing', ...input({ dealId: '3' }), answers: { 'GET /crm/v3/objects/deals/3': [{ status: 404, json: { status: 'error', message: 'resource not found', correlationId: 'c' } }] } },
		],
	},
	'pipedrive-search-persons': {
		claim: 'a search with optional parameters',
		runs: [
			{
				...input({ term: 'Ño & co', exact: false, limit: 3 }),
				answers: {
					'GET /api/v2/persons/search': [
						{ json: { success: true, data: { items: [{ result_score: 0.1234567, item: { id: 1, name: 'éva', phones: ['+420 777-123'], emails: ['E@X.CZ'] } }, { result_score: 0.9, item: { id: 2, name: null, organization: { id: 1, name: 'Org' } } }, { result_score: 0.9, item: { id: 3, name: 'Adam', phones: [], emails: [] } }] }, additional_data: { next_cursor: 'eyJ=' } } },
					],
				},
			},
			{ label: 'failure flag', ...input({ term: 'ab' }), answers: { 'GET /api/v2/persons/search': [{ json: { success: false, error: 'x' } }] } },
		],
	},
	'salesforce-query-all': {
		claim: 'pages by an async generator that returns a count',
		runs: [
			{
				...input({ object: 'Lead', fields: ['Id', 'Name'], where: { Name: "O'Neil \\ co", Active: true, Score: 1.5, Gone: null } }),
				answers: { 'GET /services/data/v60.0/query': [{ json: { totalSize: 3, done: false, nextRecordsUrl: '/services/data/v60.0/query/01g-2', records: [{ attributes: { type: 'Lead', url: '/x' }, Id: 'a', Name: 'n' }] } }], 'GET /services/data/v60.0/query/01g-2': [{ json: { totalSize: 3, done: true, records: [{ Id: 'b', Name: null }, { Id: 'c' }] } }] },
			},
			{ label: 'refused', ...input({ object: 'Lead', fields: ['Id'] }), answers: { 'GET /services/data/v60.0/query': [{ status: 400, json: [{ message: 'bad query', errorCode: 'MALFORMED_QUERY' }] }] } },
		],
	},
	'zoho-upsert-lead': {
		claim: 'refined input, discriminated answers',
		runs: [
			{ ...input({ lastName: 'Ň', email: 'a@b.co', revenue: '12', tags: ['a'] }), answers: { 'POST /crm/v6/Leads/upsert': [{ json: { data: [{ status: 'success', code: 'SUCCESS', action: 'insert', details: { id: '5', Created_Time: '2024-01-05T10:00:00+02:00', Modified_Time: '2024-01-05T10:00:00+02:00' } }] } }] } },
			{ label: 'error', ...input({ lastName: 'x', company: 'c' }), answers: { 'POST /crm/v6/Leads/upsert': [{ json: { data: [{ status: 'error', code: 'INVALID', message: 'bad', details: { api_name: 'Email', more: 1 } }] } }] } },
			{ label: 'unexpected', ...input({ lastName: 'x', company: 'c' }), answers: { 'POST /crm/v6/Leads/upsert': [{ json: { data: [{ status: 'maybe' }] } }] } },
			{ label: 'nothing', ...input({ lastName: 'x', company: 'c' }), answers: { 'POST /crm/v6/Leads/upsert': [{ json: { data: [] } }] } },
			{ label: 'bad input', ...input({ lastName: '', email: 'no', tags: ['a', 'b', 'c', 'd'], revenue: 'many' }) },
			{ label: 'refined', ...input({ lastName: 'x' }) },
		],
	},
	'attio-assert-record': {
		claim: 'records of records of unions',
		runs: [
			{
				...input({ object: 'people', matching: 'email_addresses', values: { name: 'Ada', age: 3, vip: true, email_addresses: ['a@b'], worth: { currency_value: 1.5 } } }),
				answers: {
					'PUT /v2/objects/people/records': [
						{ json: { data: { id: { workspace_id: 'w', object_id: 'o', record_id: 'r' }, created_at: '2024-01-05T10:00:00.000000000Z', web_url: 'https://app.example.com/p/r?x=1', values: { name: [{ active_from: 'x', active_until: null, attribute_type: 'text', value: 'Ada' }], email_addresses: [{ active_from: 'x', active_until: null, attribute_type: 'email-address', email_address: 'a@b' }, { active_from: 'x', active_until: null, attribute_type: 'email-address', email_address: 'c@d' }], old: [{ active_from: 'x', active_until: 'y', attribute_type: 'text', value: 1 }], stage: [{ active_from: 'x', active_until: null, attribute_type: 'select', option: { title: 'Won', id: 3 } }], odd: [{ active_from: 'x', active_until: null, attribute_type: 'odd' }] } } } },
					],
				},
			},
			{ label: 'strict input', ...input({ object: 'p', matching: 'm', values: { worth: { currency_value: 1, other: 2 } }, more: 1 }) },
			{ label: 'bad answer', ...input({ object: 'p', matching: 'm', values: {} }), answers: { 'PUT /v2/objects/p/records': [{ json: { data: { id: {}, created_at: '2024-01-05', web_url: 'nope', values: { a: [{}] } } } }] } },
		],
	},
	'close-delete-lead': {
		claim: 'statuses of a deletion',
		runs: [
			{ label: '204', ...input({ lead_id: 'l1' }), answers: { 'DELETE /api/v1/lead/l1/': [{ status: 204 }] } },
			{ label: '202', ...input({ lead_id: 'l1' }), answers: { 'DELETE /api/v1/lead/l1/': [{ status: 202, text: '' }] } },
			{ label: '404', ...input({ lead_id: 'l1' }), answers: { 'DELETE /api/v1/lead/l1/': [{ status: 404, json: {} }] } },
			{ label: '410', ...input({ lead_id: 'l1' }), answers: { 'DELETE /api/v1/lead/l1/': [{ status: 410, text: 'gone' }] } },
			{ label: '422', ...input({ lead_id: 'l1' }), answers: { 'DELETE /api/v1/lead/l1/': [{ status: 422, json: { 'field-errors': { id: 'bad' } }, headers: { 'retry-after': '7' } }] } },
			{ label: '403 of HTML', ...input({ lead_id: 'l1' }), answers: { 'DELETE /api/v1/lead/l1/': [{ status: 403, text: '<html>no</html>', headers: { 'content-type': 'text/html' } }] } },
		],
	},
	'copper-merge-people': {
		claim: 'allSettled, maps, locale sorting',
		runs: [
			{
				unordered: true,
				...input({ ids: [1, '2', 3, 4] }),
				answers: {
					'GET /developer_api/v1/people/1': [{ json: { id: 1, name: 'Žofie', emails: [{ email: 'A@x', category: 'work' }, { email: 'a@X', category: 'home' }], date_created: 1704448830, custom_fields: [{ custom_field_definition_id: 9, value: null }, { custom_field_definition_id: 3, value: 'x' }] } }],
					'GET /developer_api/v1/people/2': [{ json: { id: 2, name: 'A\u0301da', date_created: 1700000000.5, custom_fields: [{ custom_field_definition_id: 9, value: 4 }] } }],
					'GET /developer_api/v1/people/3': [{ status: 403, json: { message: 'no' } }],
					'GET /developer_api/v1/people/4': [{ json: { id: 'four' } }],
				},
			},
			{ label: 'none', ...input({ ids: [] }) },
		],
	},
	'affinity-list-entries': {
		claim: 'page tokens in the body, do while',
		runs: [
			{
				...input({ listId: 7 }),
				answers: { 'GET /lists/7/list-entries': [{ json: { list_entries: [{ id: 1, entity: { id: 1, name: 'X' }, entity_type: 1, created_at: '2024-01-05T00:00:00' }, { id: 2, entity: { id: 2, first_name: 'Ada', last_name: '' }, entity_type: 0, created_at: '2024-01-06' }], next_page_token: 'a/b+c==' } }, { json: { list_entries: [{ id: 3, entity: { id: 3, domain: 'x.y' }, entity_type: 5, created_at: '' }], next_page_token: null } }] },
			},
			{ label: 'bad entry', ...input({ listId: 8 }), answers: { 'GET /lists/8/list-entries': [{ json: { list_entries: [{ id: 1 }] } }] } },
		],
	},
	'freshsales-convert': {
		claim: 'an ActionError made in a catch of a promise',
		runs: [
			{ ...input({ id: '5', deal: { name: 'd', amount: 0.1 } }), answers: { 'POST /api/leads/5/convert': [{ json: { contact: { id: 99 }, deal: null } }] } },
			{ label: 'list', ...input({ id: '5' }), answers: { 'POST /api/leads/5/convert': [{ status: 400, json: { errors: { code: 400, message: ['a', 'b'] } } }] } },
			{ label: 'text', ...input({ id: '5' }), answers: { 'POST /api/leads/5/convert': [{ status: 409, json: { errors: { code: 1, message: 'dup' } } }] } },
			{ label: 'odd', ...input({ id: '5' }), answers: { 'POST /api/leads/5/convert': [{ status: 500, text: 'oops' }] } },
		],
	},
	'capsule-headers-page': {
		claim: 'link headers parsed by hand',
		runs: [{ input: {}, answers: { 'GET /api/v2/parties': [{ json: { parties: [{ name: 'A' }, { firstName: 'B', lastName: 'C' }] }, headers: { link: '<https://x.example/api/v2/parties?page=2&perPage=2&embed=tags%2Cfields>; rel="next", <https://x.example/p?page=9>; rel=last', 'X-RateLimit-Remaining': '42', 'x-ratelimit-reset': '1704448830000' } }, { json: { parties: [] } }] } }],
	},
	'hubspot-companies': {
		claim: 'cursor in the body of a search, checkpoints',
		runs: [
			{
				steps: [
					{ answers: { 'POST /crm/v3/objects/companies/search': [{ json: { total: 3, results: [company('1', '2024-01-01T00:00:00Z'), company('2', '2024-01-02T00:00:00Z', { numberofemployees: '12', domain: 'd.x' })], paging: { next: { after: '2' } } } }, { json: { results: [company('3', '2024-01-03T00:00:00Z', { name: null })] } }] } },
					{ answers: { 'POST /crm/v3/objects/companies/search': [{ json: { results: [] } }] } },
					{ answers: { 'POST /crm/v3/objects/companies/search': [{ json: { results: [{ id: 4 }] } }] } },
				],
			},
		],
	},
	'salesforce-accounts': {
		claim: 'links in the body, deletions by a second query',
		runs: [
			{
				steps: [
					{ answers: { 'GET /services/data/v60.0/query': [{ json: { done: false, nextRecordsUrl: '/services/data/v60.0/query/next-1', records: [account('a', '2024-01-05T10:00:00.000+0000', { Owner: { Name: 'O' } }), account('b', '2024-01-04T10:00:00.000+0000', { AnnualRevenue: 1.2e7 })] } }], 'GET /services/data/v60.0/query/next-1': [{ json: { done: true, records: [account('c', '2024-01-06T10:00:00.000+0530', { Industry: 'Tech' })] } }] } },
					{ answers: { 'GET /services/data/v60.0/query': [{ json: { done: true, records: [] } }], 'GET /services/data/v60.0/sobjects/Account/deleted/': [{ json: { deletedRecords: [{ id: 'a', deletedDate: 'x' }, { id: 'zz', deletedDate: 'y' }] } }] } },
					{ answers: { 'GET /services/data/v60.0/query': [{ json: { done: true, records: [account('d', null)] } }] } },
				],
			},
		],
	},
	'pipedrive-deals': {
		claim: 'offsets by hand, metadata, catch and coerce',
		runs: [
			{
				metadata: { pipelineIds: [3, 4], onlyOpen: true },
				steps: [
					{ answers: { 'GET /v1/deals': [{ json: { data: [deal(1), deal(2, { status: 'strange', value: null, currency: undefined, person_id: { name: 'P', value: 1 } })], additional_data: { pagination: { more_items_in_collection: true, next_start: 2 } } } }, { json: { data: [deal(3, { currency: 'CZK', value: 7 })] } }, { json: { data: null } }] } },
					{ answers: { 'GET /v1/deals': [{ json: { data: [deal(2)] } }] } },
				],
			},
			{ label: 'bad metadata', metadata: { pipelineIds: 'all' } },
		],
	},
	'dynamics-contacts': {
		claim: '@odata.nextLink',
		runs: [
			{
				steps: [
					{ answers: { 'GET /api/data/v9.2/contacts': [{ json: { value: [contact(1, { birthdate: '1990-02-28' }), contact(2)], '@odata.nextLink': '{{origin}}/api/api/data/v9.2/contacts?$select=contactid&$skiptoken=%3Ccookie%20pagenumber=%222%22%20/%3E' } }, { json: { value: [contact(3, { emailaddress1: 'x@y' })] } }] } },
					{ answers: { 'GET /api/data/v9.2/contacts': [{ json: { value: [contact(3)] } }] } },
				],
			},
		],
	},
	'copper-activities': {
		claim: 'pages by number in the body, weeks and weekdays',
		runs: [
			{
				steps: [
					{ answers: { 'POST /developer_api/v1/activities/search': [{ json: [{ id: 1, activity_date: 1704448830, type: { category: 'user' } }, { id: 2, activity_date: 1735603200, details: 'ž 😀' }] }, { json: [{ id: 3, activity_date: 1704067199 }] }] } },
					{ answers: { 'POST /developer_api/v1/activities/search': [{ json: [] }] } },
				],
			},
		],
	},
};
