// Runs functions of a project in Node.js against a provider that is a function, for unit tests: no daemon, no network.
//
//   const functions = await loadProject('path/to/project');
//   const nango = mockNango({ provider: ({ method, url }) => ({ data: [] }), metadata: { owner: 'o' } });
//   await functions.get('github/syncs/issues').exec(nango);
//   assert.deepEqual(nango.mock.live('Issue'), [...]);
//
// Records, windows of tracked deletes and checkpoints are kept in memory by the rules of the daemon, and outlive a run
// that fails: call exec again with the same mock for the next run.  Retries, credentials and limits are not played.
import { createRequire } from 'node:module';

import { readProject } from '../compiler/lib/project.mjs';

// Functions get the modules that the compiler has.
const requireModule = createRequire(new URL('../compiler/package.json', import.meta.url));
const FOLDERS = { action: 'actions', sync: 'syncs' };

// The definitions of a project by "integration/syncs/name" or "integration/actions/name".
export async function loadProject(directory) {
	const found = new Map();
	for (const { providerConfigKey, type, syncName, fileBody } of (await readProject(directory)).flowConfigs) {
		const module = { exports: {} };
		new Function('module', 'exports', 'require', fileBody.js)(module, module.exports, requireModule);
		found.set(`${providerConfigKey}/${FOLDERS[type]}/${syncName}`, module.exports.default);
	}
	return found;
}

class ActionError extends Error {
	constructor(payload) {
		super('the action failed');
		this.type = 'action_script_runtime_error';
		this.payload = payload;
	}
}

const copy = (value) => JSON.parse(JSON.stringify(value));
const at = (value, path) => (path ? path.split('.').reduce((inner, name) => inner?.[name], value) : value);
const merge = (base, patch) => {
	const plain = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
	if (!plain(base) || !plain(patch)) return patch;
	return { ...base, ...Object.fromEntries(Object.entries(patch).map(([name, value]) => [name, merge(base[name], value)])) };
};

// What a sync knows of models: id -> { record, deleted, seen }.
function recordCalls(models, open) {
	let clock = 0;
	const of = (model) => models[model] ?? (models[model] = new Map());
	const write = (change) => async (records, model) => {
		const now = ++clock;
		const here = new Set();
		for (const each of copy(records ?? [])) {
			if (each?.id === undefined || each.id === null || each.id === '') throw new Error('a record needs an id');
			const id = String(each.id);
			if (!here.has(id)) change(of(model), id, { ...each, id }, now); // the first one of an id counts
			here.add(id);
		}
		return true;
	};
	const batchSave = write((rows, id, record, seen) => rows.set(id, { record, deleted: false, seen }));
	return {
		batchSave,
		batchSend: batchSave,
		batchUpdate: write((rows, id, patch, seen) => {
			const row = rows.get(id);
			if (row && !row.deleted) rows.set(id, { record: merge(row.record, patch), deleted: false, seen });
		}),
		batchDelete: write((rows, id, record, seen) => rows.set(id, { record, deleted: true, seen })),
		getRecordsByIds: async (ids, model) =>
			new Map(ids.filter((id) => of(model).has(String(id))).map((id) => [id, copy(of(model).get(String(id)).record)])),
		listRecords: async function* (model) {
			for (const { record } of [...of(model).values()]) yield copy(record);
		},
		trackDeletesStart: async (model) => {
			open[model] ??= clock;
		},
		trackDeletesEnd: async (model) => {
			if (open[model] === undefined) throw new Error(`trackDeletesEnd("${model}") needs a trackDeletesStart before it`);
			const gone = [...of(model)].filter(([, row]) => !row.deleted && row.seen <= open[model]);
			for (const [, row] of gone) row.deleted = true;
			delete open[model];
			return { deletedKeys: gone.map(([id]) => id) };
		},
	};
}

// provider({ method, url, headers, data }) answers { status?, data?, headers? } or throws; url is a URL below `base`.
export function mockNango({ provider, base = 'https://provider.test', metadata = {}, checkpoint = null, connectionId = 'test' } = {}) {
	const mock = { requests: [], logs: [], models: {}, windows: {}, checkpoint, metadata };
	mock.live = (model) => [...(mock.models[model]?.values() ?? [])].filter((row) => !row.deleted).map((row) => row.record);
	mock.deleted = (model) => [...(mock.models[model]?.values() ?? [])].filter((row) => row.deleted).map((row) => row.record);

	async function proxy({ endpoint, method = 'GET', params = {}, headers = {}, data }) {
		const url = new URL(base + (endpoint.startsWith('/') ? endpoint : `/${endpoint}`));
		for (const [name, value] of new URLSearchParams(params)) url.searchParams.set(name, value);
		const request = { method: method.toUpperCase(), url, headers, data: data === undefined ? undefined : copy(data) };
		mock.requests.push(request);
		const { status = 200, data: body = null, headers: answered = {} } = await provider(request);
		const response = { status, data: copy(body), headers: answered, statusText: '', config: {} };
		if (status >= 200 && status < 300) return response;
		throw Object.assign(new Error(`Request failed with status code ${status}`), { response, status });
	}

	// Lists by cursor and by offset; all options have to be given.
	async function* paginate({ paginate: how, ...request }) {
		const params = { ...request.params, ...(how.limit && { [how.limit_name_in_request]: how.limit }) };
		for (let next = how.offset_start_value ?? 0, first = true; ; first = false) {
			if (how.type === 'offset') params[how.offset_name_in_request] = next;
			else if (!first) params[how.cursor_name_in_request] = next;
			const { data } = await proxy({ ...request, params });
			const page = at(data, how.response_path) ?? [];
			if (page.length === 0) return;
			yield page;
			next = how.type === 'offset' ? next + page.length : at(data, how.cursor_path_in_response);
			if (how.type === 'offset' ? page.length < (how.limit ?? 1) : (typeof next !== 'string' || next.trim() === '') && typeof next !== 'number') return;
		}
	}

	const as = (method) => (config) => proxy({ ...config, method });
	return {
		...{ mock, ActionError, connectionId, proxy, paginate },
		...{ get: as('GET'), post: as('POST'), put: as('PUT'), patch: as('PATCH'), delete: as('DELETE') },
		...recordCalls(mock.models, mock.windows),
		log: (...args) => void mock.logs.push(args),
		getMetadata: async () => copy(mock.metadata),
		setMetadata: async (value) => void (mock.metadata = copy(value)),
		updateMetadata: async (value) => void (mock.metadata = { ...mock.metadata, ...copy(value) }),
		getCheckpoint: async () => copy(mock.checkpoint),
		saveCheckpoint: async (value) => void (mock.checkpoint = copy(value)),
		clearCheckpoint: async () => void (mock.checkpoint = null),
	};
}
