// templates/issues against a repository that is played: what is asked for, what is kept, and what runs that end early leave.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { loadProject, mockNango } from '../../sdk/mock.mjs';

const functions = await loadProject(fileURLToPath(new URL('../issues', import.meta.url)));
const sync = functions.get('github/syncs/issues');
const create = functions.get('github/actions/create-issue');
const time = (second) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString().replace('.000', '');

// Issues as GitHub lists them; list() answers what the query asks for, and before(n) may change things first.
function repository(count) {
	const issues = new Map();
	const put = (id, second, more) => issues.set(id, { id, number: id, title: `t${id}`, body: null, state: 'open', user: { login: 'ann' },
		labels: [{ name: 'bug' }, 'old'], html_url: `https://github.test/${id}`, created_at: time(0), updated_at: time(second), closed_at: null, ...more });
	for (let id = 1; id <= count; id++) put(id, id);
	let asked = 0;
	const world = { issues, put, before: () => {}, fail: () => false };
	world.nango = mockNango({
		metadata: { owner: 'the owner', repo: 'code' },
		provider: ({ method, url, data }) => {
			assert.equal(url.pathname, '/repos/the%20owner/code/issues');
			world.before(++asked);
			if (world.fail(asked)) return { status: 500 };
			if (method === 'POST') {
				put(issues.size + 1, 500, { title: data.title, body: data.body ?? null, labels: [] });
				return { status: 201, data: issues.get(issues.size) };
			}
			const query = Object.fromEntries(url.searchParams);
			assert.deepEqual([query.state, query.sort, query.direction], ['all', 'updated', 'asc']);
			const found = [...issues.values()].filter((each) => !query.since || each.updated_at >= query.since);
			found.sort((a, b) => (a.updated_at < b.updated_at ? -1 : a.updated_at > b.updated_at ? 1 : a.id - b.id));
			return { data: found.slice((query.page - 1) * query.per_page, query.page * query.per_page) };
		},
	});
	world.run = () => sync.exec(world.nango);
	world.kept = () => world.nango.mock.live('Issue').map((issue) => Number(issue.id)).sort((a, b) => a - b);
	return world;
}

test('all issues are kept, pull requests are not, and the next run asks for what is new', async () => {
	const world = repository(250);
	world.put(7, 7, { pull_request: { url: 'x' } });
	await world.run();
	assert.equal(world.kept().length, 249);
	assert.deepEqual(world.nango.mock.live('Issue')[0], { id: '1', number: 1, title: 't1', body: null, state: 'open', author: 'ann',
		labels: ['bug', 'old'], url: 'https://github.test/1', createdAt: time(0), updatedAt: time(1), closedAt: null });
	const { listed, ...rest } = world.nango.mock.checkpoint;
	assert.deepEqual(rest, { since: time(250), walked: '' });
	assert.ok(Date.parse(listed) > Date.now() - 60000);
	world.put(3, 300, { title: 'new', state: 'closed', closed_at: time(300) });
	const before = world.nango.mock.requests.length;
	await world.run();
	assert.equal(world.nango.mock.requests.length, before + 1);
	assert.equal(world.nango.mock.requests.at(-1).url.searchParams.get('since'), time(250));
	assert.equal(world.nango.mock.live('Issue').find((issue) => issue.id === '3').title, 'new');
});

test('an issue that is updated while the list is read hides no other', async () => {
	const world = repository(350);
	world.before = (asked) => asked === 2 && [10, 20, 30].forEach((id) => world.put(id, 400 + id));
	await world.run();
	assert.deepEqual(world.kept(), Array.from({ length: 350 }, (_, i) => i + 1));
});

test('more issues of one second than a page holds are all read', async () => {
	const world = repository(20);
	for (let id = 21; id <= 370; id++) world.put(id, 21);
	world.put(371, 22);
	await world.run();
	assert.equal(world.kept().length, 371);
});

test('a run that ends early is gone on with, and deletes nothing that is there', async () => {
	const world = repository(350);
	world.fail = (asked) => asked === 3;
	await assert.rejects(world.run());
	assert.equal(world.kept().length, 199);
	world.issues.delete(5);
	await world.run();
	assert.equal(world.nango.mock.requests[3].url.searchParams.get('since'), time(199)); // not from the start
	assert.equal(world.kept().length, 350); // 5 was seen in this window
	world.nango.mock.checkpoint.listed = new Date(Date.now() - 25 * 3600 * 1000).toISOString();
	await world.run(); // a day later
	assert.deepEqual(world.nango.mock.deleted('Issue').map((issue) => issue.id), ['5']);
	assert.equal(world.kept().length, 349);
});

test('a run that ends between the last page and the close of the window deletes nothing that is there', async () => {
	const world = repository(150);
	const end = world.nango.trackDeletesEnd;
	world.nango.trackDeletesEnd = async (model) => {
		await end(model);
		throw new Error('the worker is lost');
	};
	await assert.rejects(world.run());
	world.nango.trackDeletesEnd = end;
	await world.run();
	assert.equal(world.kept().length, 150);
});

test('an issue that is opened is answered as the sync keeps it, and is asked for once', async () => {
	const world = repository(2);
	const made = await create.exec(world.nango, create.input.parse({ title: 'a title', body: 'text' }));
	assert.deepEqual(create.output.parse(made), made);
	await world.run();
	assert.deepEqual(world.nango.mock.live('Issue').find((issue) => issue.id === made.id), made);
	assert.throws(() => create.input.parse({ title: '' }));
	world.fail = () => true;
	await assert.rejects(create.exec(world.nango, { title: 'x' }), /500/);
	assert.equal(world.nango.mock.requests.filter((request) => request.method === 'POST').length, 2);
});
