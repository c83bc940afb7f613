// Files, mails, calendars, documents: functions as customers write them.
const input = (value) => ({ input: value });
const b64url = (text) => Buffer.from(text).toString('base64url');
const rich = (text, annotations, href = null) => ({ plain_text: text, href, annotations });
const note = (id, type, more, has_children = false) => ({ id, has_children, type, [type]: more });
const file = (id, mimeType = 'text/plain') => ({ id, name: `N ${id}`, mimeType, webViewLink: `https://d/${id}` });
const when = (dateTime) => ({ dateTime });
const xml = `<?xml version="1.0"?>
<d:multistatus xmlns:d="DAV:"><d:response><d:href>/remote.php/dav/files/a%20b/%C5%BElu%C5%A5.txt</d:href><d:propstat><d:prop><d:getlastmodified>Fri, 05 Jan 2024 10:00:30 GMT</d:getlastmodified><d:getcontentlength>12</d:getcontentlength><d:getetag>&quot;abc&quot;</d:getetag><oc:note><![CDATA[a < b && "c"]]></oc:note></d:prop></d:propstat></d:response>
<D:response><D:href>/x/&#x1F600;&#38;&amp;&odd;/</D:href><D:resourcetype><D:collection/></D:resourcetype></D:response></d:multistatus>`;

export default {
	'gdrive-fetch-document': {
		claim: 'exports as text, downloads as base64',
		runs: [
			{ label: 'text', ...input({ id: 'a' }), answers: { 'GET /drive/v3/files/a': [{ json: { mimeType: 'application/vnd.google-apps.document', name: 'n' } }], 'GET /drive/v3/files/a/export': [{ text: '\ufeffžluť\r\n🐎', headers: { 'content-type': 'text/plain; charset=utf-8' } }] } },
			{ label: 'bytes', ...input({ id: 'a' }), answers: { 'GET /drive/v3/files/a': [{ json: { mimeType: 'application/pdf', name: 'n' } }, { base64: 'JVBERi0xLjQK/wD+/4A=', headers: { 'content-type': 'application/pdf' } }] } },
			{ label: 'json as text', ...input({ id: 'a' }), answers: { 'GET /drive/v3/files/a': [{ json: { mimeType: 'application/vnd.google-apps.drawing' } }], 'GET /drive/v3/files/a/export': [{ json: { a: 1 } }] } },
			{ label: 'error of bytes', ...input({ id: 'a' }), answers: { 'GET /drive/v3/files/a': [{ json: { mimeType: 'image/png' } }, { status: 403, json: { error: { code: 403, message: 'nope' } } }] } },
			{ label: 'empty', ...input({ id: '' }) },
		],
	},
	'gmail-send': {
		claim: 'a raw message',
		runs: [
			{ ...input({ from: { name: 'Žofie', email: 'z@x.cz' }, to: [{ email: 'a@b.co' }, { name: 'Bob B', email: 'b@b.co' }], cc: [], subject: 'Účet 😀', text: 'Dobrý\nden', headers: { 'X-One': '1' }, attachments: [{ filename: 'á.txt', content: 'QUJD'.repeat(40) }] }), answers: { 'POST /gmail/v1/users/me/messages/send': [{ json: { id: 'm', threadId: 't' } }] } },
			{ label: 'html', ...input({ from: { email: 'z@x.cz' }, to: [{ email: 'a@b.co' }], subject: '', html: '' }), answers: { 'POST /gmail/v1/users/me/messages/send': [{ json: { id: 'm', threadId: 't' } }] } },
			{ label: 'invalid', ...input({ from: { email: 'x' }, to: [], subject: 's', headers: { 'a b': '1' }, attachments: [{ filename: 'x', content: '!' }] }) },
		],
	},
	'gmail-read-message': {
		claim: 'parts by a generator, base64url',
		runs: [
			{
				...input({ id: 'm1' }),
				answers: {
					'GET /gmail/v1/users/me/messages/m1': [{ json: { id: 'm1', internalDate: '1704448830123', labelIds: ['UNREAD'], payload: { mimeType: 'multipart/mixed', headers: [{ name: 'From', value: '"Ada, L." <ada@x.co>' }, { name: 'TO', value: '"B, C" <b@c>, d@e' }, { name: 'Date', value: 'Fri, 5 Jan 2024 12:00:30 +0200 (EET)' }], parts: [{ mimeType: 'multipart/alternative', parts: [{ mimeType: 'text/plain', body: { size: 1, data: b64url('žluť 🐎 ~~~???') } }, { mimeType: 'text/html', body: { size: 1, data: b64url('<p>ÿÿÿ</p>') } }] }, { mimeType: 'image/png', filename: 'a.png', body: { size: 5, attachmentId: 'at' } }] } } }],
					'GET /gmail/v1/users/me/messages/m1/attachments/at': [{ json: { size: 5, data: '_-8AAQI' } }],
				},
			},
			{ label: 'bare', ...input({ id: 'm1' }), answers: { 'GET /gmail/v1/users/me/messages/m1': [{ json: { id: 'm1', internalDate: '0', payload: { mimeType: 'text/plain', headers: [{ name: 'From', value: 'x@y' }] } } }] } },
		],
	},
	'gcal-create-event': {
		claim: 'dates and times, a recurrence rule',
		runs: [
			{ ...input({ summary: 'S', start: { date: '2024-02-28' }, recurrence: { freq: 'WEEKLY', until: '2024-12-31', byDay: ['MO', 'FR'] } }), answers: { 'POST /calendar/v3/calendars/primary/events': [{ json: { id: 'e', htmlLink: 'l' } }] } },
			{ label: 'time', ...input({ summary: 'S', start: { dateTime: '2024-02-28T23:45:00+01:00', timeZone: 'Europe/Prague' }, minutes: 90, attendees: ['a@b.co'], sendUpdates: 'all' }), answers: { 'POST /calendar/v3/calendars/primary/events': [{ status: 201, json: { id: 'e' } }] } },
			{ label: 'local time', ...input({ summary: 'S', start: { dateTime: '2024-02-28T23:45:00' } }), answers: { 'POST /calendar/v3/calendars/primary/events': [{ json: { id: 'e' } }] } },
			{ label: 'invalid', ...input({ start: { date: '2024-02-30', dateTime: 'x' }, end: {}, minutes: -1, attendees: ['x'], recurrence: { freq: 'YEARLY', count: 1.5 } }) },
		],
	},
	'dropbox-upload': {
		claim: 'bytes as the body, escaped header, hashes',
		runs: [{ ...input({ path: '/Ž 😀/a"b.bin', content: 'AAECAwQFBgcICQoLDA0ODxAREhP/' }), answers: { 'POST /2/files/upload': [{ json: { rev: 'r1' } }] } }],
	},
	'onedrive-tree': {
		claim: 'recursion over folders',
		runs: [
			{
				input: {},
				answers: {
					'GET /v1.0/me/drive/items/root/children': [{ json: { value: [{ id: 'f1', name: 'Docs', folder: { childCount: 2 }, lastModifiedDateTime: 'x' }, { id: 'a', name: 'b.txt', size: 2000, file: { mimeType: 'text/plain' }, lastModifiedDateTime: 'x' }], '@odata.nextLink': '{{origin}}/api/v1.0/me/drive/items/root/children?$skiptoken=2' } }, { json: { value: [{ id: 'a2', name: 'Á.txt', size: 2000, lastModifiedDateTime: 'x' }] } }],
					'GET /v1.0/me/drive/items/f1/children': [{ json: { value: [{ id: 'f2', name: 'Empty', folder: { childCount: 0 }, lastModifiedDateTime: 'x' }, { id: 'c', name: 'c', size: 1075, lastModifiedDateTime: 'x', file: { mimeType: 'image/png', hashes: {} } }] } }],
					'GET /v1.0/me/drive/items/f2/children': [{ json: { value: [] } }],
				},
			},
			{ label: 'depth 0', ...input({ depth: 0 }) },
		],
	},
	'notion-blocks': {
		claim: 'unions with computed keys, recursion',
		runs: [
			{
				...input({ page: 'p' }),
				answers: {
					'GET /v1/blocks/p/children': [{ json: { results: [note('1', 'heading_1', { rich_text: [rich('Nadpis')] }), note('2', 'bulleted_list_item', { rich_text: [rich('tučně', { bold: true, italic: true }), rich(' odkaz', { code: true }, 'https://x')] }, true), note('3', 'image', { file: {} })], has_more: true, next_cursor: 'c' } }, { json: { results: [note('4', 'to_do', { rich_text: [rich('x')], checked: true }), note('5', 'code', { rich_text: [rich('a\nb')], language: 'js' }), note('6', 'divider', {})], has_more: false } }],
					'GET /v1/blocks/2/children': [{ json: { results: [note('7', 'paragraph', { rich_text: [] }), note('8', 'to_do', { rich_text: [rich('y', {})] })], has_more: false } }],
				},
			},
		],
	},
	'airtable-batch': {
		claim: 'chunks, errors of a chunk are collected',
		runs: [{ ...input({ base: 'app1', table: 'Moje tabulka', typecast: true, rows: Array.from({ length: 23 }, (_, i) => ({ n: i, 'jméno': `ž${i}`, gone: null })) }), answers: { 'POST /v0/app1/Moje%20tabulka': [{ json: { records: [{ id: 'r1' }, { id: 'r2' }] } }, { status: 422, json: { error: { type: 'X', message: 'Unknown field' } } }, { status: 404, json: { error: 'NOT_FOUND' } }] } }],
	},
	'sheets-append': {
		claim: 'ranges with signs, serial dates, colons in paths',
		runs: [{ ...input({ sheet: 's1', tab: "It's", rows: [['a', 1.5, true, null, { date: '2024-01-05T06:00:00Z' }], ['b']] }), answers: { "POST /v4/spreadsheets/s1/values/'It''s'!A1%3AE:append": [{ json: { updates: { updatedRange: 'x' } } }], "POST /v4/spreadsheets/s1/values/'It'\'s'!A1%3AE:append": [{ json: {} }], 'GET /v4/spreadsheets/s1/values:batchGet': [{ json: { valueRanges: [{ values: [[' First Name ', 'Č.', 3], ['x'], ['y', null, 0]] }] } }] } }],
	},
	'webdav-list': {
		claim: 'XML read by regular expressions',
		runs: [
			{ ...input({ folder: 'a b/ž' }), answers: { 'GET /remote.php/dav/files/a%20b/%C5%BE': [{ status: 207, text: xml, headers: { 'content-type': 'application/xml; charset=utf-8' } }] } },
			{ label: 'json', ...input({ folder: 'x' }), answers: { 'GET /remote.php/dav/files/x': [{ json: [1] }] } },
		],
	},
	'gdrive-files': {
		claim: 'folders chosen by metadata, a buffer of records',
		runs: [
			{
				metadata: { folders: ['A'], files: ['f9', 'f1', 'gone'] },
				answers: {
					'GET /drive/v3/files': [{ json: { files: [file('f1'), file('B', 'application/vnd.google-apps.folder'), file('f2')], nextPageToken: '~!!~' } }, { json: { files: [file('f3')] } }, { json: { files: [file('f4'), file('A', 'application/vnd.google-apps.folder')] } }],
					'GET /drive/v3/files/f9': [{ json: file('f9') }],
				},
			},
			{ label: 'none', metadata: {} },
		],
	},
	'gcal-events': {
		claim: 'sync tokens, an expired one starts again',
		runs: [
			{
				steps: [
					{ answers: { 'GET /calendar/v3/calendars/primary/events': [{ json: { items: [{ id: 'a', status: 'confirmed', start: when('2024-01-05T10:00:00+01:00'), end: when('2024-01-05T10:45:30+01:00'), attendees: [{ email: 'z' }, { email: 'a' }] }, { id: 'b', summary: 'ž', start: { date: '2024-03-31' }, end: { date: '2024-04-01' } }], nextPageToken: 'p2' } }, { json: { items: [], nextSyncToken: 'st1=' } }] } },
					{ answers: { 'GET /calendar/v3/calendars/primary/events': [{ json: { items: [{ id: 'a', status: 'cancelled' }], nextSyncToken: 'st2' } }] } },
					{ answers: { 'GET /calendar/v3/calendars/primary/events': [{ status: 410, json: { error: { code: 410 } } }, { json: { items: [{ id: 'c', status: 'tentative', start: when('2024-01-05T10:00:00Z'), end: when('2024-01-05T11:00:00Z') }], nextSyncToken: 'st3' } }] } },
					{ answers: { 'GET /calendar/v3/calendars/primary/events': [{ status: 403, json: { error: { code: 403 } } }] } },
				],
			},
		],
	},
	'outlook-mail': {
		claim: 'a filter by date, attachments of some',
		runs: [
			{
				metadata: { now: '2024-02-01T00:00:00Z' },
				steps: [
					{ answers: { 'GET /v1.0/me/messages': [{ json: { value: [{ id: 'AAM=', receivedDateTime: '2024-01-05T10:00:00Z', subject: null, bodyPreview: ' a \r\n\r\n b 😀', hasAttachments: true, from: { emailAddress: { name: 'Ž', address: 'z@x' } } }, { id: 'B', receivedDateTime: '2024-01-04T10:00:00.5Z', subject: 'S', bodyPreview: '' }] } }], 'GET /v1.0/me/messages/AAM=/attachments': [{ json: { value: [{ '@odata.type': '#microsoft.graph.fileAttachment', name: 'a', contentBytes: 'AAEC/w==' }, { '@odata.type': '#microsoft.graph.itemAttachment', name: 'b', size: 7 }] } }] } },
					{ answers: { 'GET /v1.0/me/messages': [{ json: { value: [] } }] } },
				],
			},
		],
	},
	'box-folders': {
		claim: 'a queue with private fields, offsets that are too short end',
		runs: [
			{ steps: [{ answers: { 'GET /2.0/folders/0/items': [{ json: { entries: [{ id: '1', type: 'folder', name: 'F' }, { id: '2', type: 'file', name: 'a.TXT', extension: 'TXT', sha1: 'x' }] } }, { json: { entries: [{ id: '3', type: 'folder', name: 'G' }] } }], 'GET /2.0/folders/1/items': [{ json: { entries: [{ id: '4', type: 'web_link', name: 'ž' }] } }], 'GET /2.0/folders/3/items': [{ json: { entries: [] } }] } }, { answers: { 'GET /2.0/folders/0/items': [{ json: { entries: [{ id: '2', type: 'file', name: 'b', extension: '' }] } }] } }, { answers: { 'GET /2.0/folders/0/items': [{ status: 401, json: { code: 'unauthorized' } }] } }] },
		],
	},
	'notion-database': {
		claim: 'properties by a table of readers',
		runs: [
			{
				metadata: { databaseId: 'db-1' },
				answers: {
					'POST /v1/databases/db-1/query': [
						{ json: { results: [{ id: 'r1', url: 'u', last_edited_time: 't', properties: { Name: { type: 'title', title: [{ plain_text: 'Ž' }, { plain_text: '😀' }] }, n: { type: 'number', number: 0.1 }, s: { type: 'select', select: null }, m: { type: 'multi_select', multi_select: [{ name: 'a' }] }, d: { type: 'date', date: { start: '2024-01-05', end: null } }, d0: { type: 'date', date: null }, p: { type: 'people', people: [{ id: '1' }, { id: '2', person: { email: 'e' } }] }, f: { type: 'formula', formula: { type: 'boolean', boolean: false } }, u: { type: 'unique_id', unique_id: { prefix: 'T', number: 4 } }, r: { type: 'rollup', rollup: { type: 'array', array: [{ type: 'number', number: 2 }, { type: 'x' }] } }, toString: { type: 'toString' } } }], next_cursor: 'c-2', has_more: true } },
						{ json: { results: [{ id: 'r2', last_edited_time: 't', properties: { t: { type: 'rich_text', rich_text: [] } } }], next_cursor: null } },
					],
				},
			},
		],
	},
};
