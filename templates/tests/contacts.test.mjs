// templates/contacts: one model over two providers; what is read of each, what is written to it, what comes out the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { loadProject, mockNango } from '../../sdk/mock.mjs';

const functions = await loadProject(fileURLToPath(new URL('../contacts', import.meta.url)));
const AT = '2026-01-02T03:04:05Z';

// Each plays a provider with these people: { path, one(person), list(people, after), made(data) }.
const PROVIDERS = {
	hubspot: {
		path: '/crm/v3/objects/contacts',
		one: (id, { first, last, email, phone }) => ({ id: String(id), archived: false, createdAt: AT, updatedAt: AT,
			properties: { firstname: first ?? null, lastname: last ?? '', email: email ?? null, phone: phone ?? null, hs_object_id: String(id) } }),
		page: (results, next) => ({ results, ...(next && { paging: { next: { after: next, link: 'x' } } }) }),
		after: 'after',
		made: (data) => ({ first: data.properties.firstname, last: data.properties.lastname, email: data.properties.email, phone: data.properties.phone }),
		answer: (raw) => raw,
	},
	pipedrive: {
		path: '/v2/persons',
		one: (id, { first, last, email, phone }) => ({ id, name: [first, last].filter(Boolean).join(' '), first_name: first, last_name: last ?? null,
			emails: [{ value: 'second@example.org', primary: false }, ...(email ? [{ value: email, primary: true, label: 'work' }] : [])].slice(email ? 0 : 1),
			phones: [{ value: phone ?? '', primary: true, label: 'work' }], add_time: AT, update_time: AT, org_id: null }),
		page: (data, next) => ({ success: true, data, additional_data: { next_cursor: next ?? null } }),
		after: 'cursor',
		made: (data) => ({ first: data.name.split(' ')[0], last: data.name.split(' ')[1], email: data.emails?.[0].value, phone: data.phones?.[0].value }),
		answer: (data) => ({ success: true, data }),
	},
};

function play(name) {
	const provider = PROVIDERS[name];
	const people = new Map([
		[1, { first: 'Ann', last: 'Lee', email: 'ann@example.org', phone: '+1 555' }],
		[2, { first: 'Bob' }],
		[3, { first: 'Eve', last: 'Ω', email: 'eve@example.org' }],
	]);
	const nango = mockNango({
		provider: ({ method, url, data }) => {
			assert.equal(url.pathname, provider.path);
			if (method === 'POST') {
				people.set(people.size + 1, provider.made(data));
				return { status: 201, data: provider.answer(provider.one(people.size, people.get(people.size))) };
			}
			assert.equal(url.searchParams.get('limit'), '100');
			const after = Number(url.searchParams.get(provider.after) ?? 0);
			const rest = [...people].filter(([id]) => id > after).map(([id, person]) => provider.one(id, person));
			return { data: provider.page(rest.slice(0, 2), rest.length > 2 ? String(rest[1].id) : undefined) };
		},
	});
	return { nango, people, sync: functions.get(`${name}/syncs/contacts`), create: functions.get(`${name}/actions/create-contact`) };
}

for (const name of Object.keys(PROVIDERS)) {
	test(`${name}: people become contacts, and leave with the provider's list`, async () => {
		const { nango, people, sync } = play(name);
		await sync.exec(nango);
		assert.deepEqual(nango.mock.live('Contact'), [
			{ id: '1', name: 'Ann Lee', firstName: 'Ann', lastName: 'Lee', email: 'ann@example.org', phone: '+1 555', createdAt: AT, updatedAt: AT, source: name },
			{ id: '2', name: 'Bob', firstName: 'Bob', lastName: null, email: null, phone: null, createdAt: AT, updatedAt: AT, source: name },
			{ id: '3', name: 'Eve Ω', firstName: 'Eve', lastName: 'Ω', email: 'eve@example.org', phone: null, createdAt: AT, updatedAt: AT, source: name },
		]);
		for (const contact of nango.mock.live('Contact')) sync.models.Contact.parse(contact);
		people.delete(2);
		await sync.exec(nango);
		assert.deepEqual(nango.mock.deleted('Contact').map((contact) => contact.id), ['2']);
	});

	test(`${name}: a contact that is created is answered as the sync keeps it`, async () => {
		const { nango, sync, create } = play(name);
		for (const input of [{ firstName: 'Kim', lastName: 'Roe', email: 'kim@example.org', phone: '7' }, { firstName: 'Solo' }]) {
			const made = await create.exec(nango, create.input.parse(input));
			assert.deepEqual(create.output.parse(made), made);
			assert.deepEqual([made.firstName, made.lastName, made.email, made.phone],
				[input.firstName, input.lastName ?? null, input.email ?? null, input.phone ?? null]);
			await sync.exec(nango);
			assert.deepEqual(nango.mock.live('Contact').find((contact) => contact.id === made.id), made);
		}
	});
}

test('both providers take and give one shape', () => {
	const [hubspot, pipedrive] = Object.keys(PROVIDERS).map((name) => functions.get(`${name}/actions/create-contact`));
	assert.deepEqual(Object.keys(hubspot.output.shape), Object.keys(pipedrive.output.shape));
	assert.deepEqual(Object.keys(hubspot.input.shape), Object.keys(pipedrive.input.shape));
});
