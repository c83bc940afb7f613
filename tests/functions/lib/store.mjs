// Records of one connection as the reference keeps them (wire.md 4.3): what a run wrote, and what it counted.
const plain = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

// Objects are merged, everything else replaces.
function merge(old, given) {
	const out = { ...old };
	for (const [name, value] of Object.entries(given)) out[name] = plain(out[name]) && plain(value) ? merge(out[name], value) : value;
	return out;
}

export class Store {
	#models = new Map();
	#declared = [];
	counts = {};

	// A run of a sync with these models.
	begin(declared) {
		this.#declared = declared;
		this.counts = {};
	}

	clear() {
		this.#models.clear();
	}

	#of(model) {
		if (!this.#declared.includes(model)) throw new Error(`Model ${model} not found`);
		if (!this.#models.has(model)) this.#models.set(model, new Map());
		return this.#models.get(model);
	}

	#count(model) {
		this.counts[model] ??= { added: 0, updated: 0, deleted: 0 };
	}

	write(records, model, what, job) {
		const rows = this.#of(model);
		this.#count(model);
		const given = JSON.parse(JSON.stringify(records));
		if (given.some((record) => record?.id === undefined || record.id === null || record.id === '')) throw new Error('record without id');
		const seen = new Set();
		for (const record of given) {
			const id = String(record.id);
			if (seen.has(id)) continue;
			seen.add(id);
			this[what](rows, { ...record, id }, this.counts[model], job);
		}
	}

	save(rows, record, counts, job) {
		const old = rows.get(record.id);
		const same = old && !old.deleted && JSON.stringify(old.record) === JSON.stringify(record);
		if (same) old.job = job;
		else {
			rows.set(record.id, { record, job, deleted: false, action: old && !old.deleted ? 'UPDATED' : 'ADDED' });
			counts[old && !old.deleted ? 'updated' : 'added']++;
		}
	}

	update(rows, record, counts, job) {
		const old = rows.get(record.id);
		if (!old || old.deleted) return;
		const merged = merge(old.record, record);
		if (JSON.stringify(merged) === JSON.stringify(old.record)) return;
		rows.set(record.id, { record: merged, job, deleted: false, action: 'UPDATED' });
		counts.updated++;
	}

	delete(rows, record, counts, job) {
		const old = rows.get(record.id);
		if (old?.deleted) return;
		rows.set(record.id, { record, job, deleted: true, action: 'DELETED' });
		if (old) counts.deleted++;
	}

	deleteOlder(model, job) {
		const gone = [];
		const rows = this.#of(model);
		this.#count(model);
		for (const [id, row] of rows) {
			if (row.deleted || row.job >= job) continue;
			Object.assign(row, { deleted: true, action: 'DELETED' });
			this.counts[model].deleted++;
			gone.push(id);
		}
		return gone;
	}

	byIds(ids, model) {
		const rows = this.#of(model);
		const known = ids.filter((id) => rows.has(String(id)) && !rows.get(String(id)).deleted);
		return new Map(known.map((id) => [id, structuredClone(rows.get(String(id)).record)]));
	}

	*list(model) {
		for (const { record, deleted, action } of this.#of(model).values()) yield { ...structuredClone(record), _nango_metadata: { deleted_at: deleted ? 'then' : null, last_action: action } };
	}

	// { Model: [{ record, action }] }, by id.
	all() {
		const out = {};
		for (const model of this.#declared) {
			const rows = [...(this.#models.get(model)?.values() ?? [])];
			out[model] = rows.map(({ record, action }) => ({ record, action })).sort((a, b) => (a.record.id < b.record.id ? -1 : 1));
		}
		return out;
	}
}
