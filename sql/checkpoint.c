#include "sql/checkpoint.h"

#include <stdlib.h>

#include "sql/sync_store.h"

#define CHECKPOINT_PLACE \
	"connection_id = $1::bigint AND function_id = $2::bigint AND variant = $3::text"

static const struct unit_statement checkpoint_find = {
    "checkpoint_find", "SELECT version, value FROM checkpoint WHERE " CHECKPOINT_PLACE};

static const struct unit_statement checkpoint_put = {
    "checkpoint_put",
    "INSERT INTO checkpoint AS c (connection_id, function_id, variant, version, value)"
    " SELECT $1::bigint, $2::bigint, $3::text, 1, $5::text WHERE $4::bigint = 0"
    "  OR EXISTS (SELECT FROM checkpoint WHERE " CHECKPOINT_PLACE ")"
    " ON CONFLICT (function_id, connection_id, variant) DO UPDATE SET version = c.version + 1,"
    "  value = excluded.value WHERE c.version = $4::bigint"};

/* The write above, or the same one before it whose answer was lost. */
static const struct unit_statement checkpoint_written = {
    "checkpoint_written", "SELECT version, value FROM checkpoint WHERE " CHECKPOINT_PLACE
			  " AND version = $4::bigint + 1 AND value IS NOT DISTINCT FROM $5::text"};

static void
checkpoint_on_read(void *arg, const struct unit_answer *answer)
{
	struct sync_call *call = arg;
	const PGresult *rows;
	struct sl_error error;
	const char *value = NULL;
	int64_t version = 0;
	int count;
	enum sl_code code = sync_outcome(call, answer, &count, &error);

	if (count > 0) {
		rows = sync_answer_rows(answer);
		version = value_int(rows, 0, 0);
		value = PQgetisnull(rows, 0, 1) ? NULL : value_text(rows, 0, 1);
	}
	call->cb.checkpoint(call->arg, code, version, value, code == SL_OK ? NULL : &error);
	free(call);
}

static void
checkpoint_on_written(void *arg, const struct unit_answer *answer)
{
	struct sync_call *call = arg;
	const PGresult *rows;
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(call, answer, &count, &error);

	if (code == SL_OK && count == 0) {
		code = sl_fail(&error, SL_CONFLICT, "the checkpoint was written meanwhile");
		call->cb.checkpoint(call->arg, code, CHECKPOINT_STALE, NULL, &error);
	} else if (code != SL_OK) {
		call->cb.checkpoint(call->arg, code, 0, NULL, &error);
	} else {
		rows = sync_answer_rows(answer);
		call->cb.checkpoint(call->arg, SL_OK, value_int(rows, 0, 0),
				    PQgetisnull(rows, 0, 1) ? NULL : value_text(rows, 0, 1), NULL);
	}
	free(call);
}

static void
checkpoint_bind(struct unit *unit, const struct checkpoint_place *place)
{
	unit_bind_int(unit, place->connection_id);
	unit_bind_int(unit, place->function_id);
	unit_bind_text(unit, place->variant);
}

void
checkpoint_read(struct sync_store *store, const struct checkpoint_place *place, checkpoint_cb *cb,
		void *arg)
{
	struct sync_call *call = sync_call_new(arg, NULL);
	struct unit *unit = unit_new();

	call->cb.checkpoint = cb;
	unit_add(unit, &checkpoint_find);
	checkpoint_bind(unit, place);
	sync_send(store, unit, checkpoint_on_read, call);
}

void
checkpoint_write(struct sync_store *store, const struct checkpoint_place *place, int64_t seen,
		 const char *value, const struct sync_fence *fence, checkpoint_cb *cb, void *arg)
{
	static const struct unit_statement *const steps[] = {&checkpoint_put, &checkpoint_written};
	struct sync_call *call = sync_call_new(arg, NULL);
	struct unit *unit = unit_new();

	call->cb.checkpoint = cb;
	sync_add_fence(unit, fence);
	for (int i = 0; i < 2; i++) {
		unit_add(unit, steps[i]);
		checkpoint_bind(unit, place);
		unit_bind_int(unit, seen);
		unit_bind_text(unit, value);
	}
	sync_send(store, unit, checkpoint_on_written, call);
}
