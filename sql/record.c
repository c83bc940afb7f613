#include "sql/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/record_store.h"

#define RECORD_ID_MAX 255
#define RECORD_BATCH_BYTES ((size_t)256 << 20)

/* From its first write by this release a window of tracked deletes is this release's: an earlier one
 * cannot read the lists of what was seen. */
static const struct unit_statement record_window = {
    "record_window", "UPDATE track_window SET since = opened, opened = 0"
		     " WHERE sync_id = $1::bigint AND model = $2::text AND opened <> 0"};

/* A key that is being deleted with its connection is waited for here, before any row is locked. */
static const struct unit_statement record_lock = {
    "record_lock",
    "SELECT require((SELECT true FROM connection WHERE id = $1::bigint FOR KEY SHARE),"
    " 'SL404', 'there is no such connection'), " RECORD_LOCK("$2::text")};

/* $3 sync, $4 time after which a changed row is left alone, or null, $5 name of the write, or null;
 * arrays: $6 ids, $7 payloads, $8 digests, $9 of the caller.  Each statement says in `action` what becomes of each item:
 * 1, 2, 4: enum record_action; 0: only seen; -1: refused; null: left as it is.  Rows are looked up
 * one by one, which the planner may not turn into a join, and written by their place: the model's
 * lock is held, so nobody else inserts, and a row that moved meanwhile is followed. */
#define RECORD_ITEMS(arrays, columns, deleted, action)                                             \
	"WITH " RECORD_MOMENT ", item AS MATERIALIZED (SELECT u.id, u.payload, u.digest, " deleted \
	" AS deleted, r.place, r.sync_id, r.pruned IS NOT NULL AND r.digest = u.digest"            \
	" AS emptied, CASE " action " END AS action"                                               \
	" FROM unnest($6::text[], $7::bytea[], $8::bytea[]" arrays                                 \
	") u(id, payload, digest" columns                                                          \
	") LEFT JOIN LATERAL (SELECT o.ctid AS place, o.digest, o.deleted, o.last_modified,"       \
	"   o.pruned, o.sync_id FROM record o"                                                     \
	"  WHERE o.connection_id = $1::bigint AND o.model = $2::text AND o.id = u.id LIMIT 1) r"   \
	"  ON true)"
#define RECORD_SINCE SYNC_AT_US("$4")
#define RECORD_LEFT "WHEN r.last_modified > " RECORD_SINCE " THEN 0"
#define RECORD_DELETED_AT SYNC_AT_MS("nullif(u.deleted_ms, 0)")
/* So many rows that were only seen are worth a list of them; fewer are marked each. */
#define RECORD_LISTED "20"

/* Rows that were only seen keep all but who saw them and when.  They are not written at all but
 * when the sync was another's, so that each sync removes its own, or when the payload had been
 * pruned.  That comes back, or nobody who reads from the start would ever find it; it counts as
 * unchanged and keeps its place: its content is what readers were shown there, and those who prune
 * what they have read would else be given every record again after each full run. */
#define RECORD_TALLY                                                                   \
	", tally AS MATERIALIZED (SELECT count(*) FILTER (WHERE action = 1) AS added," \
	"   count(*) FILTER (WHERE action = 2) AS updated,"                            \
	"   count(*) FILTER (WHERE action = 4 AND place IS NOT NULL) AS deleted,"      \
	"   count(*) FILTER (WHERE action = 0) AS unchanged,"                          \
	"   count(*) FILTER (WHERE action = -1) AS refused,"                           \
	"   count(*) FILTER (WHERE action > 0) AS written FROM item), "
#define RECORD_ROWS                                                                               \
	", added AS (INSERT INTO record (connection_id, model, id, sync_id, seen, last_action,"   \
	"   first_seen, last_modified, deleted, digest, payload)"                                 \
	"  SELECT $1::bigint, $2::text, id, $3::bigint, seen, action, at, at,"                    \
	"   CASE action WHEN 4 THEN coalesce(deleted, at) END, digest, payload"                   \
	"   FROM item, moment WHERE action > 0 AND place IS NULL),"                               \
	" changed AS (UPDATE record r SET sync_id = $3::bigint, seen = m.seen,"                   \
	"   first_seen = CASE i.action WHEN 1 THEN m.at ELSE r.first_seen END,"                   \
	"   last_action = CASE i.action WHEN 0 THEN r.last_action ELSE i.action END,"             \
	"   last_modified = CASE i.action WHEN 0 THEN r.last_modified ELSE m.at END,"             \
	"   deleted = CASE i.action WHEN 0 THEN r.deleted"                                        \
	"    WHEN 4 THEN coalesce(i.deleted, m.at) END,"                                          \
	"   pruned = CASE WHEN i.action = 0 AND NOT i.emptied THEN r.pruned END,"                 \
	"   digest = CASE i.action WHEN 0 THEN r.digest ELSE i.digest END,"                       \
	"   payload = CASE WHEN i.action = 0 AND NOT i.emptied THEN r.payload ELSE i.payload END" \
	"  FROM item i, moment m, tally t WHERE r.ctid = i.place AND (i.action > 0"               \
	"   OR i.action = 0 AND (t.unchanged < " RECORD_LISTED                                    \
	"    OR i.emptied OR i.sync_id <> $3::bigint))),"                                         \
	" listed AS (INSERT INTO record_unchanged (connection_id, model, seen, ids)"              \
	"  SELECT $1::bigint, $2::text, seen, ARRAY(SELECT id FROM item WHERE action = 0)"        \
	"   FROM moment, tally WHERE unchanged >= " RECORD_LISTED "),"                            \
	" uncut AS (DELETE FROM record_cut WHERE " RECORD_MODEL                                   \
	"  AND EXISTS (SELECT FROM item WHERE action = 0 AND emptied))"
#define RECORD_TOLD                                                                     \
	" SELECT coalesce(told[2]::bigint, added), coalesce(told[3]::bigint, updated)," \
	" coalesce(told[4]::bigint, deleted), coalesce(told[5]::bigint, unchanged),"    \
	" refused, " RECORD_MOMENT_US " FROM moment m, tally LEFT JOIN again ON true"
#define RECORD_CHANGE "SELECT added - deleted AS live, tally.* FROM tally WHERE written > 0"
#define RECORD_WRITE                                                                         \
	RECORD_TALLY RECORD_AGAIN("$5::text") ", " RECORD_COUNTED(RECORD_CHANGE, "$5::text") \
	    RECORD_ROWS RECORD_TOLD

static const struct unit_statement record_save_items = {
    "record_save_items",
    RECORD_ITEMS("", "", "NULL::timestamptz",
		 "WHEN r.digest IS NULL THEN 1 " RECORD_LEFT " WHEN r.deleted IS NOT NULL THEN 1"
		 " WHEN r.digest = u.digest THEN 0 ELSE 2") RECORD_WRITE};

static const struct unit_statement record_update_items = {
    "record_update_items",
    RECORD_ITEMS(", $9::bytea[]", ", expected", "NULL::timestamptz",
		 "WHEN r.digest IS NULL OR r.deleted IS NOT NULL THEN -1 " RECORD_LEFT
		 " WHEN r.digest = u.digest THEN 0 WHEN r.digest <> u.expected THEN -1"
		 " ELSE 2") RECORD_WRITE};

static const struct unit_statement record_delete_items = {
    "record_delete_items",
    RECORD_ITEMS(", $9::bigint[]", ", deleted_ms", RECORD_DELETED_AT,
		 "WHEN r.digest IS NULL THEN 4 WHEN r.deleted IS NOT NULL THEN NULL " RECORD_LEFT
		 " ELSE 4") RECORD_WRITE};

enum record_extra { RECORD_NOTHING, RECORD_EXPECTED, RECORD_DELETED_MS };

void
record_add_lock(struct unit *unit, const struct sync_fence *fence, int64_t connection_id,
		const char *model)
{
	sync_add_fence(unit, fence);
	unit_add(unit, &record_lock);
	unit_bind_int(unit, connection_id);
	unit_bind_text(unit, model);
}

static void
record_on_counts(void *arg, const struct unit_answer *answer)
{
	struct sync_call *call = arg;
	struct record_counts counts = {0};
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(call, answer, &count, &error);

	if (code == SL_OK) {
		const PGresult *rows = sync_answer_rows(answer);

		counts.added = value_int(rows, 0, 0);
		counts.updated = value_int(rows, 0, 1);
		counts.deleted = value_int(rows, 0, 2);
		counts.unchanged = value_int(rows, 0, 3);
		counts.refused = value_int(rows, 0, 4);
		counts.at_us = value_int(rows, 0, 5);
	}
	call->cb.counts(call->arg, code, &counts, code == SL_OK ? NULL : &error);
	free(call);
}

static int
record_by_id(const void *a, const void *b)
{
	const struct record_item *const *left = a, *const *right = b;

	return strcmp((*left)->id, (*right)->id);
}

/* The items by id; the caller frees them.  NULL: error says why the batch cannot be written. */
static const struct record_item **
record_sort(const struct record_batch *batch, struct sl_error *error)
{
	const struct record_item **sorted;
	size_t bytes = 0;

	if (batch->count < 0 || batch->count > RECORD_BATCH_MAX) {
		sl_fail(error, SL_INVALID, "a batch has at most %d records", RECORD_BATCH_MAX);
		return NULL;
	}
	sorted = sl_calloc((size_t)batch->count + 1, sizeof(struct record_item *));
	error->code = SL_OK;
	for (int i = 0; i < batch->count; i++) {
		size_t len = strlen(batch->items[i].id);

		sorted[i] = &batch->items[i];
		bytes += batch->items[i].payload.len;
		if (len < 1 || len > RECORD_ID_MAX)
			sl_fail(error, SL_INVALID, "a record id has 1 to %d bytes", RECORD_ID_MAX);
	}
	qsort(sorted, (size_t)batch->count, sizeof(*sorted), record_by_id);
	for (int i = 1; i < batch->count; i++)
		if (strcmp(sorted[i - 1]->id, sorted[i]->id) == 0)
			sl_fail(error, SL_INVALID, "a record id is twice in a batch");
	if (bytes > RECORD_BATCH_BYTES)
		sl_fail(error, SL_EXHAUSTED, "the batch has more than %zu MiB",
			RECORD_BATCH_BYTES >> 20);
	if (error->code == SL_OK)
		return sorted;
	free(sorted);
	return NULL;
}

static void
record_bind_items(struct unit *unit, const struct record_item *const *items, int count,
		  enum record_extra extra)
{
	struct value_array ids, payloads, digests, expected, deleted;

	value_array_init(&ids, VALUE_TEXT);
	value_array_init(&payloads, VALUE_BYTEA);
	value_array_init(&digests, VALUE_BYTEA);
	value_array_init(&expected, VALUE_BYTEA);
	value_array_init(&deleted, VALUE_INT8);
	for (int i = 0; i < count; i++) {
		struct slice payload = items[i]->payload;

		value_array_text(&ids, items[i]->id);
		value_array_bytes(&payloads, payload.data == NULL ? slice_text("") : payload);
		value_array_bytes(&digests,
				  (struct slice){(const char *)items[i]->digest, RECORD_DIGEST});
		value_array_bytes(&expected,
				  (struct slice){(const char *)items[i]->expected, RECORD_DIGEST});
		value_array_int(&deleted, items[i]->deleted_ms);
	}
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &payloads);
	unit_bind_array(unit, &digests);
	if (extra == RECORD_EXPECTED)
		unit_bind_array(unit, &expected);
	if (extra == RECORD_DELETED_MS)
		unit_bind_array(unit, &deleted);
	value_array_fini(&expected);
	value_array_fini(&deleted);
}

static void
record_write(struct sync_store *store, const struct record_batch *batch,
	     const struct unit_statement *statement, enum record_extra extra, record_counts_cb *cb,
	     void *arg)
{
	struct sync_call *call = sync_call_new(arg, NULL);
	const struct record_item **sorted;
	struct sl_error error;
	struct unit *unit;

	call->cb.counts = cb;
	sorted = record_sort(batch, &error);
	if (sorted == NULL) {
		sync_refuse(store, record_on_counts, call, error.code, error.text);
		return;
	}
	unit = unit_new();
	record_add_lock(unit, &batch->fence, batch->connection_id, batch->model);
	unit_add(unit, &record_window);
	unit_bind_int(unit, batch->sync_id);
	unit_bind_text(unit, batch->model);
	unit_add(unit, statement);
	unit_bind_int(unit, batch->connection_id);
	unit_bind_text(unit, batch->model);
	unit_bind_int(unit, batch->sync_id);
	if (batch->unless_changed_since_us != 0)
		unit_bind_int(unit, batch->unless_changed_since_us);
	else
		unit_bind_text(unit, NULL);
	unit_bind_text(unit, batch->write);
	record_bind_items(unit, sorted, batch->count, extra);
	free(sorted);
	sync_send(store, unit, record_on_counts, call);
}

void
record_save(struct sync_store *store, const struct record_batch *batch, record_counts_cb *cb,
	    void *arg)
{
	record_write(store, batch, &record_save_items, RECORD_NOTHING, cb, arg);
}

void
record_update(struct sync_store *store, const struct record_batch *batch, record_counts_cb *cb,
	      void *arg)
{
	record_write(store, batch, &record_update_items, RECORD_EXPECTED, cb, arg);
}

void
record_delete(struct sync_store *store, const struct record_batch *batch, record_counts_cb *cb,
	      void *arg)
{
	record_write(store, batch, &record_delete_items, RECORD_DELETED_MS, cb, arg);
}
