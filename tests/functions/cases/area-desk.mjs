// Tickets, chats and messages: functions as customers write them.
const input = (value) => ({ input: value });
const issue = (n, type, more) => ({ id: `i${n}`, identifier: `ENG-${n}`, title: `T ${n}`, estimate: null, state: { name: type, type }, assignee: null, labels: { nodes: [] }, ...more });
const linear = (nodes, cursor) => ({ json: { data: { issues: { nodes, pageInfo: { hasNextPage: cursor !== undefined, endCursor: cursor ?? null } } } } });
const sms = (more) => ({ from: '+1 (415) 555-0100', to: '+420 777 123 456', body: 'Dobrý den 👋 & a+b=c~*!', ...more });
const message = (id, at, more) => ({ id, createdDateTime: at, from: null, body: { contentType: 'text', content: `m ${id}` }, ...more });
const jiraIssue = (id, updated, more) => ({ id: `${id}`, key: `P-${id}`, fields: { summary: `S ${id}`, status: { name: 'Done' }, assignee: null, updated, ...more } });
const talk = (id, at, more) => ({ id, updated_at: at, state: 'open', ...more });

export default {
	'zendesk-create-ticket': {
		claim: 'unions and defaults in the input, a loose answer',
		runs: [
			{ ...input({ subject: 'Help', comment: 'text', priority: 'high', due_at: null, custom_fields: [{ id: 1, value: [1, null, { a: 'ž' }] }] }), answers: { 'POST /api/v2/tickets.json': [{ status: 201, json: { ticket: { id: 1, url: 'u', status: 'new', priority: null, via: { channel: 'api', source: { from: {}, to: {}, rel: null, more: 1 } }, tags: ['a'], extra: { deep: [1] } } } }] } },
			{ label: 'object', ...input({ subject: 'Help', comment: { html_body: '<b>x</b>' } }), answers: { 'POST /api/v2/tickets.json': [{ status: 200, json: { ticket: { id: 1, url: 'u', status: 'new', priority: 'p', via: { channel: 'api', source: { from: { a: 1 }, rel: 'x' } }, tags: [] } } }] } },
			{ label: 'invalid', ...input({ subject: 1, comment: { public: 'x' }, due_at: 'tomorrow', priority: 'x' }) },
			{ label: 'refused', ...input({ subject: 'x', comment: '' }), answers: { 'POST /api/v2/tickets.json': [{ status: 422, json: { error: 'RecordInvalid', details: { base: [{ description: 'x' }] } } }] } },
			{ label: 'empty answer', ...input({ subject: 'x', comment: '' }), answers: { 'POST /api/v2/tickets.json': [{ status: 201, json: {} }] } },
		],
	},
	'intercom-search': {
		claim: 'a lazy schema, dotted cursor in the body, a labelled break',
		runs: [
			{
				...input({ query: { operator: 'AND', value: [{ field: 'open', operator: '=', value: 'true' }, { operator: 'OR', value: [{ field: 'id', operator: 'IN', value: [1, 'b'] }] }] }, max: 3 }),
				answers: {
					'POST /conversations/search': [
						{ json: { total_count: 9, conversations: [{ id: '1', title: null, source: { body: '<p>Hi &amp; hello<br/>you&#39;re 😀 here</p>' }, open: true, updated_at: 1704448830 }, { id: '2', title: 'T', updated_at: 1704448831 }], pages: { next: { page: 2, starting_after: 'WzE3' } } } },
						{ json: { total_count: 10, conversations: [{ id: '3', updated_at: 0 }, { id: '4', updated_at: 1 }], pages: { next: { starting_after: 'x' } } } },
					],
				},
			},
			{ label: 'bad filter', ...input({ query: { operator: 'AND', value: [] } }) },
		],
	},
	'jira-create-issue': {
		claim: 'markdown becomes a document',
		runs: [
			{ metadata: { cloudId: 'c-1' }, ...input({ project: 'ab', summary: 'S', description: '## Title `x`\n\nText **bold** and [link](https://x.y/z?a=1) end\n\n- one\n- **two**', labels: ['a b', 'c'] }), answers: { 'POST /ex/jira/c-1/rest/api/3/issue': [{ status: 201, json: { id: '1', key: 'AB-1', self: 'https://x.example/rest/api/3/issue/1' } }] } },
			{ label: 'no description', metadata: { cloudId: 'c-1' }, ...input({ project: 'ab', summary: 'S' }), answers: { 'POST /ex/jira/c-1/rest/api/3/issue': [{ status: 201, json: { key: 'AB-1', self: '/relative' } }] }, freeMessage: true },
			{ label: 'no metadata', ...input({ project: 'ab', summary: 'S' }) },
		],
	},
	'linear-graphql': {
		claim: 'GraphQL pages and errors',
		runs: [
			{ ...input({ team: 'ENG' }), answers: { 'POST /graphql': [linear([issue(1, 'started', { estimate: 3, labels: { nodes: [{ name: 'bug' }, { name: 'ž' }] } }), issue(2, 'backlog')], 'c1'), linear([issue(3, 'started', { estimate: 0.5, assignee: { email: 'a@b.co' } })])] } },
			{ label: 'errors', ...input({}), answers: { 'POST /graphql': [{ json: { errors: [{ message: 'slow down', extensions: { code: 'RATELIMITED', x: 1 } }, { message: 'bad', path: ['issues', 0, 'id'] }] } }] } },
			{ label: 'null data', ...input({}), answers: { 'POST /graphql': [{ json: { data: null } }] } },
			{ label: 'invalid', ...input({}), answers: { 'POST /graphql': [linear([issue(1, 'odd', { assignee: { email: 'x' } })])] } },
		],
	},
	'freshdesk-attachments': {
		claim: 'a form of bytes',
		runs: [{ ...input({ ticketId: 255, body: 'žluťoučký 🐎', files: [{ name: 'a ü.png', type: 'image/png', base64: 'iVBORw0KGgoAAP//' }, { name: 'e', type: 'x/y', base64: '' }] }), answers: { 'POST /api/v2/tickets/255/reply': [{ status: 201, json: { id: 12345678901 } }] } }],
	},
	'front-list-tags': {
		claim: 'absolute links in the body, numeric collation',
		runs: [
			{ answers: { 'GET /tags': [{ json: { _pagination: { next: '{{origin}}/api/tags?page_token=abc%3D%3D&limit=100' }, _results: [{ id: 't1', name: 'Item 10', _links: { related: { parent_tag: null } } }, { id: 't2', name: 'item 9', _links: { related: { parent_tag: null } } }] } }, { json: { _pagination: { next: null }, _results: [{ id: 't3', name: 'sub', _links: { related: { parent_tag: 'https://x/tags/t1' } } }, { id: 't4', name: 'Éa', _links: { related: { parent_tag: 'https://x/tags/t4' } } }] } }] } },
		],
	},
	'slack-post-blocks': {
		claim: 'a union by a flag, emoji cut by characters',
		runs: [
			{ ...input({ channel: 'C1', title: '🎉🎉 Žádost o schválení', fields: { 'A & B': '<x>', n: 1.5, gone: null, yes: true, last: '' } }), answers: { 'POST /chat.postMessage': [{ json: { ok: true, channel: 'C1', ts: '1704448830.123456', message: { text: 'x' } } }] } },
			{ label: 'known error', ...input({ channel: 'C1', title: 't', fields: {}, thread_ts: '1.2' }), answers: { 'POST /chat.postMessage': [{ json: { ok: false, error: 'missing_scope', needed: 'chat:write,x' } }] } },
			{ label: 'unknown error', ...input({ channel: 'C1', title: 't', fields: {} }), answers: { 'POST /chat.postMessage': [{ json: { ok: false, error: 'odd', response_metadata: { messages: ['[ERROR] x'] } } }] } },
			{ label: 'no flag', ...input({ channel: 'C1', title: 't', fields: {} }), answers: { 'POST /chat.postMessage': [{ json: { ok: 'yes' } }] } },
			{ label: 'bad ts', ...input({ channel: 'C1', title: 't', fields: {} }), answers: { 'POST /chat.postMessage': [{ json: { ok: true, ts: '12', channel: 1 } }] } },
		],
	},
	'teams-messages': {
		claim: 'dates by coercion, comparison of dates',
		runs: [
			{
				...input({ team: 't', channel: '19:abc@thread.tacv2', since: '2024-01-01' }),
				answers: {
					'GET /v1.0/teams/t/channels/19%3Aabc%40thread.tacv2/messages': [
						{ json: { value: [message('2', '2024-02-01T10:00:00.123Z', { from: { user: { id: 'u', displayName: null } }, body: { contentType: 'html', content: '<div>Hi <at id="0">Ada</at>!</div>' }, reactions: [{ reactionType: 'like' }, { reactionType: '🎉' }, { reactionType: 'like' }] }), message('1', '2024-01-31T10:00:00Z', { deletedDateTime: 'x' })], '@odata.nextLink': '{{origin}}/api/v1.0/teams/t/channels/19%3Aabc%40thread.tacv2/messages?$skiptoken=a%2Bb' } },
						{ json: { value: [message('0', '2024-01-15T10:00:00+02:00'), message('x', '2023-12-31T23:59:59.999Z')], '@odata.nextLink': 'https://never' } },
					],
				},
			},
			{ label: 'bad date', ...input({ team: 't', channel: 'c', since: 'soon' }) },
			{ label: 'bad message', ...input({ team: 't', channel: 'c' }), answers: { 'GET /v1.0/teams/t/channels/c/messages': [{ json: { value: [message('1', 'never', { body: { contentType: 'rtf' } })] } }] } },
		],
	},
	'twilio-send-sms': {
		claim: 'a form body, issues added by a transform',
		runs: [
			{ ...input(sms({ media: ['https://x.y/a b.png', 'https://x.y/?q=1&r=ž'], status_callback: null })), answers: { 'POST /2010-04-01/Accounts/AC1/Messages.json': [{ status: 201, json: { sid: 'SM1', price: '-0.00750', num_segments: '2', date_sent: 'Fri, 05 Jan 2024 10:00:30 +0000' } }] } },
			{ label: 'bad numbers', ...input(sms({ from: 'abc', to: '0', body: '', media: ['x'] })) },
			{ label: 'provider says no', ...input(sms()), answers: { 'POST /2010-04-01/Accounts/AC1/Messages.json': [{ status: 400, json: { code: 21211, message: "The 'To' number is not valid.", more_info: 'https://x', status: 400 } }] } },
		],
	},
	'discord-limited': {
		claim: 'retries of its own, a race against a timer',
		runs: [{ ...input({ channels: ['a', 'b', 'c'] }), answers: { 'GET /channels/a': [{ status: 429, json: { retry_after: 0.5 } }, { json: { name: 'A' } }], 'GET /channels/b': [{ status: 429, text: '', headers: { 'retry-after': '1' } }], 'GET /channels/c': [{ status: 403, json: {} }] } }],
	},
	'zendesk-users': {
		claim: 'an incremental export by cursor',
		runs: [
			{
				steps: [
					{ answers: { 'GET /api/v2/incremental/users/cursor.json': [{ json: { users: [{ id: 1, name: 'A', email: 'a@b', role: 'admin', organization_id: 360001234567, created_at: 'x' }, { id: 2, name: 'B', role: 'agent', created_at: 'y', suspended: 1 }], after_cursor: 'c1==', end_of_stream: false } }, { json: { users: [{ id: 3, name: 'C', active: false, role: 'agent', created_at: '' }], after_cursor: 'c2', end_of_stream: true } }] } },
					{ answers: { 'GET /api/v2/incremental/users/cursor.json': [{ json: { users: [{ id: 1, active: false }], after_cursor: null, end_of_stream: true } }] } },
				],
			},
		],
	},
	'jira-issues': {
		claim: 'JQL, comments for each issue, a checkpoint by date',
		runs: [
			{
				metadata: { projectKeys: [{ key: 'AB' }, { key: 'C' }], jql: 'labels = "x y"' },
				steps: [
					{
						answers: {
							'GET /rest/api/3/search/jql': [{ json: { issues: [jiraIssue(1, '2024-01-05T10:00:00.000+0100'), jiraIssue(2, '2024-01-06T10:00:00.000-0800', { status: null, assignee: { emailAddress: 'a@b' } })], nextPageToken: 'CAEaAggB' } }, { json: { issues: [] } }],
							'GET /rest/api/3/issue/P-1/comment': [{ json: { comments: [{ author: { displayName: 'Ž' }, created: '2024-01-05T10:00:00.000+0000', body: { content: [{ content: [{ text: 'a' }, { type: 'hardBreak' }, { text: '😀' }] }, {}] } }, { created: '2024-01-05T10:00:00Z' }] } }],
							'GET /rest/api/3/issue/P-2/comment': [{ json: { comments: [] } }],
						},
					},
					{ answers: { 'GET /rest/api/3/search/jql': [{ json: { issues: [jiraIssue(3, 'x')] } }], 'GET /rest/api/3/issue/P-3/comment': [{ json: { comments: [] } }] } },
				],
			},
			{ label: 'no projects', metadata: { projectKeys: [] } },
		],
	},
	'intercom-conversations': {
		claim: 'two models, what is known already ends it',
		runs: [
			{
				unordered: true,
				steps: [
					{
						answers: {
							'GET /conversations': [{ json: { conversations: [talk('b', 20, { source: { subject: 'S' } }), talk('a', 10)], pages: { next: { starting_after: 'z' } } } }, { json: { conversations: [talk('c', 5)], pages: {} } }],
							'GET /conversations/a': [{ json: { title: 'TA', teammates: { admins: [{ id: '1' }, { id: '2' }, { id: '1' }] }, conversation_parts: { conversation_parts: [{ id: 9, author: { type: 'user' }, body: 'ž' }, { id: 10 }] } } }],
							'GET /conversations/b': [{ json: { conversation_parts: { conversation_parts: [{ id: 'B', body: '' }, { id: 'á', body: null }] } } }],
							'GET /conversations/c': [{ json: {} }],
						},
					},
					{ answers: { 'GET /conversations': [{ json: { conversations: [talk('d', 30), talk('b', 20)], pages: { next: { starting_after: 'z' } } } }], 'GET /conversations/d': [{ status: 404, json: {} }] } },
				],
			},
		],
	},
	'gorgias-customers': {
		claim: 'transforms, catch, pretty errors in a log',
		runs: [
			{ steps: [{ answers: { 'GET /api/customers': [{ json: { data: [{ id: 1, name: null, language: 'cs', channels: [{ type: 'email', address: 'a' }, { type: 'phone', address: '1' }, { type: 'email', address: 'b' }], meta: { a: [1, null, 'x'] } }, { id: 1.5, name: 3, channels: 'x' }], meta: { next_cursor: 'n' } } }, { json: { data: [{ id: 2, name: 'B', language: 'czech' }], meta: { next_cursor: '' } } }] } }, { answers: { 'GET /api/customers': [{ json: { data: [], meta: {} } }] } }] },
		],
	},
	'asana-tasks': {
		claim: 'projects, then tasks in parallel',
		runs: [
			{
				unordered: true,
				answers: {
					'GET /api/1.0/projects': [{ json: { data: [{ gid: 'p1', archived: false }, { gid: 'p2', archived: true }], next_page: { offset: 'eyJ0', path: '/x', uri: 'u' } } }, { json: { data: [{ gid: 'p3', archived: false }, { gid: 'p4', archived: false }], next_page: null } }],
					'GET /api/1.0/tasks': [{ json: { data: [{ gid: 't1', name: 'N', completed: false, due_on: '2024-06-01', tags: [{ name: 'b' }, { name: 'B' }, { name: 'a' }] }, { gid: 't2', name: 'M', completed: true, due_on: '2024-06-30', tags: [] }] } }],
				},
			},
		],
	},
};
