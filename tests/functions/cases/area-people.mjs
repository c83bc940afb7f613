// Staff, applicants, schedules, surveys: functions as customers write them.
const input = (value) => ({ input: value });
const stages = [{ id: 3, name: 'Offer', priority: 2 }, { id: 1, name: 'Screen', priority: 0 }, { id: 2, name: 'Onsite', priority: 1 }];
const lever = (more) => ({ name: ' Ada ', emails: 'A@B.co', performAs: '9b2c6f1e-3c8e-4a55-9d6c-0f1f5f2b7c11', ...more });
const applicant = (id, at, more) => ({ id, first_name: 'Ž', last_name: ' K ', updated_at: at, email_addresses: [], ...more });
const busy = (from, to) => ({ type: 'external', start_time: `2024-01-05T${from}Z`, end_time: `2024-01-05T${to}Z` });
const job = (shortcode, more) => ({ shortcode, title: `T ${shortcode}`, ...more });

export default {
	'bamboo-employee-update': {
		claim: 'catchall, an empty answer',
		runs: [
			{ ...input({ id: '7', firstName: 'Ž', hireDate: '1/5/2024', salary: 1.50, nickname: null }), answers: { 'POST /v1/employees/7': [{ status: 200, text: '', headers: { location: '{{origin}}/x' } }] } },
			{ label: 'unknown', ...input({ id: '7', a: 1, b: 'x' }) },
			{ label: 'invalid', ...input({ id: '7', a: true, b: {} }) },
		],
	},
	'workday-soap': {
		claim: 'an XML envelope, matchAll, faults',
		runs: [
			{ ...input({ workerId: `<&'">ž` }), answers: { 'POST /ccx/service/tenant/Human_Resources/v42.0': [{ text: '<wd:Name lang="cs">Žofie</wd:Name>\n<wd:Name  lang="en">Sophie 😀</wd:Name><wd:Total>2</wd:Total>', headers: { 'content-type': 'text/xml' } }] } },
			{ label: 'fault', ...input({ workerId: '1' }), answers: { 'POST /ccx/service/tenant/Human_Resources/v42.0': [{ status: 500, statusText: 'Server Oops', text: '<faultstring>Invalid ID žů</faultstring>', headers: { 'content-type': 'text/xml' } }] } },
		],
	},
	'greenhouse-move-application': {
		claim: 'numeric enum, stages sorted',
		runs: [
			{ ...input({ application_id: 5, direction: 1, on_behalf_of: '77' }), answers: { 'GET /v1/applications/5': [{ json: { id: 5, status: 'active', jobs: [{ id: 9 }], current_stage: { id: 1 } } }], 'GET /v1/jobs/9/stages': [{ json: stages }], 'POST /v1/applications/5/advance': [{ status: 204 }] } },
			{ label: 'last', ...input({ application_id: 5, direction: 1, on_behalf_of: 1 }), answers: { 'GET /v1/applications/5': [{ json: { id: 5, status: 'active', jobs: [{ id: 9 }], current_stage: { id: 3 } } }], 'GET /v1/jobs/9/stages': [{ json: stages }] } },
			{ label: 'rejected', ...input({ application_id: 5, direction: -1, on_behalf_of: 1 }), answers: { 'GET /v1/applications/5': [{ json: { id: 5, status: 'rejected' } }] } },
			{ label: 'no jobs', ...input({ application_id: 5, direction: -1, on_behalf_of: 1 }), answers: { 'GET /v1/applications/5': [{ json: { id: 5, status: 'active', jobs: [] } }] } },
			{ label: 'jobs missing', ...input({ application_id: 5, direction: -1, on_behalf_of: 1 }), answers: { 'GET /v1/applications/5': [{ json: { id: 5, status: 'active' } }] } },
		],
	},
	'lever-create-opportunity': {
		claim: 'transforms of unions, superRefine',
		runs: [
			{ ...input(lever({ phones: [{ value: '1' }], links: ['https://x.y'], createdAt: '2024-01-05T00:00:00Z', more: 1 })), answers: { 'POST /v1/opportunities': [{ status: 201, json: { data: { id: 'o', urls: { show: 's' }, stage: { text: 'Lead' } } } }] } },
			{ label: 'defaults', ...input(lever({ createdAt: 5 })), answers: { 'POST /v1/opportunities': [{ status: 201, json: { data: { id: 'o' } } }] } },
			{ label: 'duplicates', ...input(lever({ emails: ['a@b.co', 'A@b.co'] })) },
			{ label: 'invalid', ...input(lever({ name: '  ', emails: 5, performAs: 'x', links: ['ftp://x'], createdAt: 'x' })) },
			{ label: 'nothing', ...input('text') },
		],
	},
	'ashby-candidate-search': {
		claim: 'a generic envelope',
		runs: [
			{ ...input({ name: 'Ada' }), answers: { 'POST /candidate.list': [{ json: { success: true, results: [{ id: '1', name: 'A', primaryEmailAddress: null, createdAt: '2024-01-01T00:00:00Z' }], moreDataAvailable: true, nextCursor: 'n' } }, { json: { success: true, results: [{ id: '2', name: 'B', primaryEmailAddress: { value: 'x' }, tags: [{ title: 'T' }], createdAt: '2024-03-01' }], moreDataAvailable: false, nextCursor: 'z' } }] } },
			{ label: 'failed', ...input({ email: 'x' }), answers: { 'POST /candidate.list': [{ json: { success: false, errors: ['a', 'b'], errorInfo: { code: 'bad', requestId: 'r' } } }] } },
			{ label: 'odd', ...input({ email: 'x' }), answers: { 'POST /candidate.list': [{ json: [] }] } },
		],
	},
	'okta-add-user': {
		claim: 'issues are logged, causes become a message',
		runs: [
			{ ...input({ firstName: 'Ž', lastName: '', email: 'a@b' }), answers: { 'POST /api/v1/users': [{ json: { id: 'i', status: 'ACTIVE', created: 'c', profile: { firstName: 'Ž', lastName: 'x', email: 'y', more: 1 } } }] } },
			{ label: 'invalid', ...input({ firstName: 1, mobilePhone: false }) },
			{ label: 'causes', ...input({ firstName: 'a', lastName: 'b', email: 'c', mobilePhone: null }), answers: { 'POST /api/v1/users': [{ status: 400, json: { errorId: 'oae', errorCauses: [{ errorSummary: 'login: taken' }, { errorSummary: 'ž' }] }, headers: { ETag: '"x"' } }] } },
			{ label: 'no causes', ...input({ firstName: 'a', lastName: 'b', email: 'c' }), answers: { 'POST /api/v1/users': [{ status: 403, json: { errorCode: 'E6', errorCauses: [] } }] } },
		],
	},
	'gusto-payrolls': {
		claim: 'money in cents, months by locale',
		runs: [{ ...input({ company: 'c', year: 2024 }), answers: { 'GET /v1/companies/c/payrolls': [{ json: [{ payroll_uuid: 'a', processed: true, pay_period: { start_date: '2024-01-01', end_date: '2024-01-15' }, totals: { gross: '1234567.05', net: '0.29', tax: '-1500.5' } }, { payroll_uuid: 'b', processed: true, pay_period: { start_date: '2024-09-30', end_date: '2024-10-15' }, totals: { gross: '1.1', net: '1.15' } }, { payroll_uuid: 'c', processed: false, pay_period: { start_date: '2024-12-01', end_date: '2024-12-15' } }], headers: { 'X-Page': '1' } }] } }, { label: 'bad money', ...input({ company: 'c', year: 2024 }), answers: { 'GET /v1/companies/c/payrolls': [{ json: [{ payroll_uuid: 'a', processed: true, pay_period: { start_date: '2024-13-01', end_date: '' }, totals: { gross: '1,5' } }] }] } }],
	},
	'personio-absence': {
		claim: 'URLSearchParams as a body, days counted',
		runs: [
			{ ...input({ employee: 3, from: '2024-03-28', to: '2024-04-03', halfDay: true, holidays: ['2024-04-01'] }), answers: { 'POST /v1/company/time-offs': [{ status: 201, json: { success: true, data: { attributes: { id: 9 } } } }] } },
			{ label: 'backwards', ...input({ employee: 3, from: '2024-04-03', to: '2024-03-28' }) },
		],
	},
	'calendly-availability': {
		claim: 'arithmetic of times',
		runs: [{ ...input({ user: 'U', day: '2024-01-05', minutes: 90 }), answers: { 'GET /user_busy_times': [{ json: { collection: [busy('13:10:00', '14:00:00.500000'), busy('08:00:00', '09:45:00'), busy('13:00:00', '13:30:00')] } }] } }, { label: 'odd', ...input({ user: 'U', day: '2024-01-05' }), answers: { 'GET /user_busy_times': [{ json: { collection: [{ type: 'x', start_time: 'x', end_time: null }] } }] } }],
	},
	'typeform-answers': {
		claim: 'a discriminated union with many branches, CSV',
		runs: [
			{
				...input({ form: 'f', since: '2024-01-01T00:00:00' }),
				answers: {
					'GET /forms/f/responses': [
						{ json: { items: [{ token: 't1', submitted_at: 's1', answers: [{ type: 'text', field: { id: '1', ref: 'name', type: 'short_text' }, text: 'Ž, "x"\n' }, { type: 'choices', field: { id: '2', type: 'm' }, choices: { other: 'ž' } }, { type: 'number', field: { id: '3', type: 'r' }, number: 7 }] }, { token: 't2', submitted_at: 's2', answers: [{ type: 'phone_number', field: { id: '4', type: 'p' }, phone_number: '+1' }, { type: 'boolean', field: { id: '5', type: 'y' }, boolean: false }, { type: 'number', field: { id: '3', type: 'r' }, number: 0.1 }] }] } },
						{ json: { items: [{ token: 't3', submitted_at: 's3', answers: null }] } },
					],
				},
			},
			{ label: 'unknown type', ...input({ form: 'f' }), answers: { 'GET /forms/f/responses': [{ json: { items: [{ token: 't', answers: [{ type: 'file_url', field: {} }, { type: 'text', field: { id: 1 } }] }] } }] } },
		],
	},
	'bamboo-employees': {
		claim: 'a report, helpers of a module',
		runs: [{ steps: [{ answers: { 'POST /v1/reports/custom': [{ json: { employees: [{ id: '1', firstName: ' Ada ', lastName: null, workEmail: '', hireDate: '2024-02-30', supervisorEId: '2' }, { id: '2', hireDate: '0000-00-00', department: '' }, { id: '3', firstName: 'Ž', lastName: 'X', hireDate: '2020-01-31', department: 'R&D' }] } }] } }, { answers: { 'POST /v1/reports/custom': [{ json: { employees: [{ id: '3', firstName: 'Ž' }] } }] } }, { answers: { 'POST /v1/reports/custom': [{ json: {} }] } }] }],
	},
	'greenhouse-candidates': {
		claim: 'link headers',
		runs: [
			{
				steps: [
					{ answers: { 'GET /v1/candidates': [{ json: [applicant(1, '2024-01-05T00:00:00Z', { company: 'C', email_addresses: [{ value: 'h', type: 'home' }, { value: 'w', type: 'work' }, { value: 'o', type: 'other' }] }), applicant(2, '2024-01-04', { applications: [{ jobs: [{ name: 'J' }, { name: 'K' }] }, { jobs: [{ name: 'J' }] }] })], headers: { link: '<{{origin}}/api/v1/candidates?page=2&per_page=2>; rel="next",<{{origin}}/x>; rel="last"' } }, { json: [applicant(3, '2024-02-01', { first_name: null, last_name: '' })], headers: { link: '<{{origin}}/x>; rel="last"' } }] } },
					{ answers: { 'GET /v1/candidates': [{ json: [] }] } },
				],
			},
		],
	},
	'hibob-time-off': {
		claim: 'windows of months',
		runs: [{ metadata: { start: '2023-12-31', months: 3 }, answers: { 'GET /v1/timeoff/whosout': [{ json: { outs: [{ employeeId: 1, employeeDisplayName: 'Ž', startDate: '2023-12-30', endDate: '2024-01-02', requestId: 5, startPortion: 'all_day' }, { employeeId: 1, employeeDisplayName: 'Ž', startDate: '2023-12-30', endDate: '2024-01-02', startPortion: 'morning', policyTypeDisplayName: 'P' }] } }, { status: 204 }, { json: { outs: [] } }] } }],
	},
	'workable-jobs': {
		claim: 'an abstract class that is an async iterable',
		runs: [{ unordered: true, answers: { 'GET /spi/v3/jobs': [{ json: { jobs: [job('A', { location: { city: 'Brno', country_code: 'CZ' } }), job('B', { full_title: 'Full ž' })], paging: { next: '{{origin}}/api/spi/v3/jobs?since_id=2&state=published' } } }, { json: { jobs: [], paging: {} } }, { json: { jobs: [job('C')] } }], 'GET /spi/v3/jobs/A/candidates': [{ json: { count: 3 } }], 'GET /spi/v3/jobs/B/candidates': [{ json: { count: 0 } }], 'GET /spi/v3/jobs/C/candidates': [{ json: { count: 1 } }] } }],
	},
	'entra-users': {
		claim: 'a delta link as a checkpoint',
		runs: [
			{
				steps: [
					{ answers: { 'GET /v1.0/groups': [{ json: { value: [{ displayName: 'G2', members: [{ id: 'a' }, { id: 'b' }] }, { displayName: 'G1', members: [{ id: 'a' }] }, { displayName: 'G3' }] } }], 'GET /v1.0/users/delta': [{ json: { value: [{ id: 'a', displayName: 'A', mail: 'A@X' }, { id: 'b', displayName: 'B' }], '@odata.nextLink': "{{origin}}/api/v1.0/users/delta()?$skiptoken='x y'" } }], 'GET /v1.0/users/delta()': [{ json: { value: [{ id: 'c', displayName: 'Ž' }], '@odata.deltaLink': '{{origin}}/api/v1.0/users/delta?$deltatoken=d1+/=' } }] } },
					{ answers: { 'GET /v1.0/groups': [{ json: { value: [] } }], 'GET /v1.0/users/delta': [{ json: { value: [{ id: 'b', '@removed': { reason: 'changed' } }, { id: 'a', displayName: 'A2' }], '@odata.deltaLink': '{{origin}}/api/v1.0/users/delta?$deltatoken=d2' } }] } },
				],
			},
		],
	},
};
