#include "sql/sync.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/account.h"
#include "sql/sync_row.h"

/* Two that make the same sync agree on the name of its key, and with it on the key. */
static const struct unit_statement sync_make = {
    "sync_make",
    "WITH w AS (SELECT f.id AS function_id, $2::bigint AS connection_id, f.environment_id"
    "  FROM function f WHERE f.id = $1::bigint AND f.type = 'sync' AND f.deleted_at IS NULL"
    "  AND f.integration_id = (SELECT c.integration_id FROM connection c WHERE c.id = $2::bigint)"
    "  AND (SELECT true FROM sync s WHERE s.function_id = $1::bigint"
    "   AND s.connection_id = $2::bigint AND s.variant = $3::text) IS NULL),"
    " k AS (INSERT INTO concurrency_key (environment_id, name) SELECT environment_id,"
    "   'sync:' || connection_id || ':' || function_id || ':' || $3::text FROM w"
    "  ON CONFLICT (environment_id, name) DO UPDATE SET name = excluded.name RETURNING id)"
    " INSERT INTO sync (environment_id, function_id, connection_id, variant, key_id)"
    " SELECT w.environment_id, w.function_id, w.connection_id, $3::text, k.id FROM w, k"
    " ON CONFLICT DO NOTHING"};

static const struct unit_statement sync_find = {
    "sync_find", SYNC_SELECT "WHERE s.function_id = $1::bigint AND s.connection_id = $2::bigint"
			     " AND s.variant = $3::text AND f.type = 'sync'"
			     " AND f.deleted_at IS NULL"};

static const struct unit_statement sync_by_id = {"sync_by_id",
						 SYNC_SELECT "WHERE s.id = $1::bigint"};

/* Held against a change of the settings until the key is there; see account_concurrency.c. */
static const struct unit_statement sync_key_lock = {
    "sync_key_lock", "SELECT FROM environment WHERE id = $1::int FOR SHARE"};

/* xmax is 0 in a row that is new: nobody needs to hear of a new key with one slot. */
static const struct unit_statement sync_key_make = {
    "sync_key_make",
    "INSERT INTO concurrency_key AS k (environment_id, name, slots) SELECT $1::int, $2::text,"
    " w.slots FROM (SELECT coalesce(concurrency_slots($1::int, $2::text), $3::bigint) AS slots) w"
    " WHERE NOT EXISTS (SELECT FROM concurrency_key o WHERE o.environment_id = $1::int"
    "  AND o.name = $2::text AND o.slots = w.slots)"
    " ON CONFLICT (environment_id, name) DO UPDATE SET slots = excluded.slots"
    "  WHERE k.slots <> excluded.slots"
    " RETURNING CASE WHEN k.slots > 1 OR k.xmax <> 0 THEN"
    "  pg_notify('" ACCOUNT_LIMITS "', ($1::int)::text) END"};

static const struct unit_statement sync_key_find = {
    "sync_key_find",
    "SELECT id FROM concurrency_key WHERE environment_id = $1::int AND name = $2::text"};

const char *
sync_trouble_name(enum sync_trouble trouble)
{
	switch (trouble) {
	case SYNC_NO_TROUBLE:
		return NULL;
	case SYNC_INTERRUPTED:
		return "interrupted";
	case SYNC_STALLED:
		return "stalled";
	case SYNC_REPEATS_PAGE:
		return "repeats_page";
	}
	return NULL;
}

static const struct unit_statement sync_lane_key = {
    "sync_lane_key", "SELECT k FROM sync_lane($1::bigint, $2::bigint::int) k WHERE k IS NOT NULL"};

/* ---- reading -------------------------------------------------------------------------------- */

void
sync_read_row(struct sync_row *row, const PGresult *result, int i)
{
	row->id = value_int(result, i, 0);
	value_uuid(result, i, 1, row->uuid);
	row->environment_id = value_int(result, i, 2);
	row->function_id = value_int(result, i, 3);
	row->connection_id = value_int(result, i, 4);
	row->key_id = value_int(result, i, 5);
	row->name = value_text(result, i, 6);
	row->variant = value_text(result, i, 7);
	row->version_id = value_int(result, i, 8);
	row->definition = value_text(result, i, 9);
	row->last_success_ms = value_int(result, i, 10);
	if (!PQgetisnull(result, i, 11))
		value_uuid(result, i, 11, row->job_id);
	row->running = value_bool(result, i, 12);
	row->last_state = (enum job_state)value_int(result, i, 13);
	row->last_ended_ms = value_int(result, i, 14);
	row->last_result = value_text(result, i, 15);
	row->scheduled = value_bool(result, i, 16);
	row->started = value_bool(result, i, 17);
	row->every_ms = value_int(result, i, 18);
	row->next_run_ms = value_int(result, i, 19);
	row->frequency = value_text(result, i, 20);
	row->trouble = (enum sync_trouble)value_int(result, i, 21);
	row->trouble_since_ms = value_int(result, i, 22);
	row->still_runs = (int)value_int(result, i, 23);
}

static void
sync_on_rows(void *arg, const struct unit_answer *answer)
{
	struct sync_call *call = arg;
	struct sync_row *rows;
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(call, answer, &count, &error);

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (int i = 0; i < count; i++)
		sync_read_row(&rows[i], sync_answer_rows(answer), i);
	call->cb.rows(call->arg, code, rows, count, code == SL_OK ? NULL : &error);
	free(rows);
	free(call);
}

static void
sync_bind_place(struct unit *unit, int64_t function_id, int64_t connection_id, const char *variant)
{
	unit_bind_int(unit, function_id);
	unit_bind_int(unit, connection_id);
	unit_bind_text(unit, variant);
}

void
sync_ensure(struct sync_store *store, int64_t function_id, int64_t connection_id,
	    const char *variant, sync_rows_cb *cb, void *arg)
{
	struct sync_call *call = sync_call_new(arg, "sync function for that connection");
	struct unit *unit = unit_new();

	call->cb.rows = cb;
	unit_add(unit, &sync_make);
	sync_bind_place(unit, function_id, connection_id, variant);
	unit_add(unit, &sync_find);
	sync_bind_place(unit, function_id, connection_id, variant);
	sync_send(store, unit, sync_on_rows, call);
}

void
sync_read(struct sync_store *store, int64_t id, sync_rows_cb *cb, void *arg)
{
	struct sync_call *call = sync_call_new(arg, "sync");
	struct unit *unit = unit_new();

	call->cb.rows = cb;
	unit_add(unit, &sync_by_id);
	unit_bind_int(unit, id);
	sync_send(store, unit, sync_on_rows, call);
}

/* ---- concurrency keys ----------------------------------------------------------------------- */

static void
sync_on_key(void *arg, const struct unit_answer *answer)
{
	struct sync_call *call = arg;
	struct sl_error error;
	int64_t id = 0;
	int count;
	enum sl_code code = sync_outcome(call, answer, &count, &error);

	if (code == SL_OK)
		id = value_int(sync_answer_rows(answer), 0, 0);
	call->cb.key(call->arg, code, id, code == SL_OK ? NULL : &error);
	free(call);
}

void
sync_key(struct sync_store *store, int64_t environment_id, const char *name, int slots,
	 sync_key_cb *cb, void *arg)
{
	struct sync_call *call = sync_call_new(arg, "concurrency key");
	struct unit *unit;

	call->cb.key = cb;
	if (slots < 1 || slots > SYNC_SLOTS_MAX) {
		sync_refuse(store, sync_on_key, call, SL_INVALID,
			    "a concurrency key has 1 to 500 slots");
		return;
	}
	unit = unit_new();
	if (strncmp(name, "actions", 7) == 0) { /* only these are governed by settings */
		unit_add(unit, &sync_key_lock);
		unit_bind_int(unit, environment_id);
	}
	unit_add(unit, &sync_key_make);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, name);
	unit_bind_int(unit, slots);
	unit_add(unit, &sync_key_find);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, name);
	sync_send(store, unit, sync_on_key, call);
}

void
sync_lane(struct sync_store *store, int64_t environment_id, int slots, sync_key_cb *cb, void *arg)
{
	struct sync_call *call = sync_call_new(arg, "environment");
	struct unit *unit = unit_new();

	assert(slots >= 1 && slots <= SYNC_SLOTS_MAX);
	call->cb.key = cb;
	unit_add(unit, &sync_lane_key);
	unit_bind_int(unit, environment_id);
	unit_bind_int(unit, slots);
	sync_send(store, unit, sync_on_key, call);
}
