#include "sql/record_retain.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/record_store.h"

/* One transaction: so many rows are looked at, and so many bytes of payload let go. */
#define RETAIN_ROWS "500"
#define RETAIN_BYTES "16777216"

struct retain_call {
	struct sync_call call; /* first: what sync_send() knows */
	retain_now_cb *now;
	retain_models_cb *models;
	retain_chunk_cb *chunk;
	struct retain_chunk at; /* its model is owned */
};

/* Null: there is no such connection, or it is being deleted.  False: a writer is at work. */
static const struct unit_statement retain_lock = {
    "retain_lock",
    "SELECT require((SELECT pg_try_advisory_xact_lock(hashtextextended($2::text, $1::bigint))"
    " FROM connection WHERE id = $1::bigint FOR KEY SHARE SKIP LOCKED), 'SL409',"
    " 'the model is busy')"};

static const struct unit_statement retain_clock = {"retain_clock", "SELECT " SYNC_US("now()")};

static const struct unit_statement retain_old = {
    "retain_old",
    "SELECT 0::bigint, connection_id, model FROM record_model WHERE pruned_to < " SYNC_AT_US(
	"$1") " AND (connection_id, model) > ($2::bigint, $3::text) ORDER BY connection_id, model LIMIT 200"};

/* Webhooks give a sync records without a run of it: then it may have had none at all.  One that runs
 * rarely is left alone until it is late. */
#define RETAIN_RAN "coalesce(greatest(s.claimed_at, s.marked_at, s.last_ended), '-infinity')"
#define RETAIN_IDLE(moment)                                                            \
	"s.removed_at IS NULL AND " RETAIN_RAN " < " moment                            \
	" AND NOT EXISTS (SELECT FROM schedule c WHERE c.sync_id = s.id AND c.started" \
	"  AND " RETAIN_RAN " > now() - 2 * c.every_ms * interval '1 millisecond')"
#define RETAIN_SINCE SYNC_AT_US("$1")
static const struct unit_statement retain_idle = {
    "retain_idle",
    "SELECT s.id, s.connection_id, m.model FROM sync s"
    " JOIN record_model m ON m.connection_id = s.connection_id WHERE " RETAIN_IDLE(
	RETAIN_SINCE) " AND (s.emptied_at IS NULL OR s.emptied_at < " RETAIN_SINCE ")"
		      " AND (s.id, m.model) > ($2::bigint, $3::text) ORDER BY s.id, m.model LIMIT 200"};

/* $3 and $4 the place to go on after, $5 the moment.  Rows are written by their ctid, which stands
 * as long as the model is locked. */
#define RETAIN_PLACE "last_modified, uuid"
#define RETAIN_BEFORE SYNC_AT_US("$5")
#define RETAIN_PAGE(which)                                                                 \
	"found AS MATERIALIZED (SELECT ctid AS at, sync_id, pruned, " RETAIN_PLACE         \
	",  row_number() OVER place AS n, sum(octet_length(payload)) OVER place"           \
	"   - octet_length(payload) AS before"                                             \
	"  FROM record WHERE " RECORD_MODEL " AND " RECORD_ORDERED "   AND (" RETAIN_PLACE \
	") > (" SYNC_AT_US(                                                                \
	    "$3") ", $4::uuid)"                                                            \
		  "   AND last_modified < " RETAIN_BEFORE " AND " which                    \
		  "  WINDOW place AS (ORDER BY " RETAIN_PLACE " ROWS UNBOUNDED PRECEDING)" \
		  "  ORDER BY " RETAIN_PLACE " LIMIT " RETAIN_ROWS " + 1),"                \
		  " taken AS MATERIALIZED (SELECT * FROM found WHERE n <= " RETAIN_ROWS    \
		  "  AND before < " RETAIN_BYTES "),"                                      \
		  " last AS MATERIALIZED (SELECT " RETAIN_PLACE " FROM taken"              \
		  "  WHERE (SELECT count(*) FROM found) > (SELECT count(*) FROM taken)"    \
		  "  ORDER BY n DESC LIMIT 1)"
#define RETAIN_LAST ", (SELECT " SYNC_US("last_modified") " FROM last), (SELECT uuid FROM last)"

/* Records that were saved again stand behind pruned_to with their payloads and are left: else each
 * full run would bring back what each pass takes away.  A model that is done is not found again
 * until the oldest record that is left is old enough. */
#define RETAIN_MODEL "FROM record_model WHERE " RECORD_MODEL
static const struct unit_statement retain_empty_rows = {
    "retain_empty_rows",
    "WITH " RETAIN_PAGE(
	"last_modified >= (SELECT pruned_to " RETAIN_MODEL
	")") ","
	     " emptied AS (UPDATE record SET payload = '', pruned = clock_timestamp()"
	     "  WHERE ctid = ANY (ARRAY(SELECT at FROM taken WHERE pruned IS NULL)) RETURNING true),"
	     " noted AS (UPDATE record_model SET pruned_to = coalesce((SELECT last_modified FROM last),"
	     "   (SELECT last_modified FROM record WHERE " RECORD_MODEL " AND " RECORD_ORDERED
	     "     AND last_modified >= " RETAIN_BEFORE " ORDER BY last_modified LIMIT 1), now())"
	     "  WHERE " RECORD_MODEL ")"
	     " SELECT (SELECT count(*) FROM emptied)" RETAIN_LAST};

static const struct unit_statement retain_delete_rows = {
    "retain_delete_rows",
    "WITH alive AS MATERIALIZED (SELECT FROM record WHERE " RECORD_MODEL "  AND " RECORD_ORDERED
    " AND last_modified >= " RETAIN_BEFORE " LIMIT 1),"
    " idle AS MATERIALIZED (SELECT FROM sync s WHERE s.id = $6::bigint"
    "  AND " RETAIN_IDLE(
	RETAIN_BEFORE) " AND NOT EXISTS (SELECT FROM alive)),"
		       " " RETAIN_PAGE(
			   "EXISTS (SELECT FROM idle)") ","
							" gone AS (DELETE FROM record WHERE ctid = ANY (ARRAY(SELECT at FROM taken"
							"  WHERE sync_id = $6::bigint)) RETURNING true)"
							" SELECT CASE WHEN EXISTS (SELECT FROM idle) THEN (SELECT count(*) FROM gone)"
							"  ELSE -1 END" RETAIN_LAST};

static const struct unit_statement retain_note = {
    "retain_note", "UPDATE sync SET emptied_at = now() WHERE id = $1::bigint"};

static struct retain_call *
call_new(void *arg)
{
	struct retain_call *retaining = sl_alloc(sizeof(*retaining));

	retaining->call.arg = arg;
	return retaining;
}

/* ---- finding -------------------------------------------------------------------------------- */

static void
on_clock(void *arg, const struct unit_answer *answer)
{
	struct retain_call *retaining = arg;
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(&retaining->call, answer, &count, &error);
	int64_t now_us = code == SL_OK ? value_int(sync_answer_rows(answer), 0, 0) : 0;

	retaining->now(retaining->call.arg, code, now_us, code == SL_OK ? NULL : &error);
	free(retaining);
}

void
retain_now(struct sync_store *store, retain_now_cb *cb, void *arg)
{
	struct retain_call *retaining = call_new(arg);
	struct unit *unit = unit_new();

	retaining->now = cb;
	unit_add(unit, &retain_clock);
	sync_send(store, unit, on_clock, &retaining->call);
}

static void
on_models(void *arg, const struct unit_answer *answer)
{
	struct retain_call *retaining = arg;
	struct retain_model *models;
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(&retaining->call, answer, &count, &error);

	models = sl_calloc((size_t)count + 1, sizeof(*models));
	for (int i = 0; i < count; i++) {
		const PGresult *rows = sync_answer_rows(answer);

		models[i] = (struct retain_model){value_int(rows, i, 0), value_int(rows, i, 1),
						  value_text(rows, i, 2)};
	}
	retaining->models(retaining->call.arg, code, models, count, code == SL_OK ? NULL : &error);
	free(models);
	free(retaining);
}

static void
find(struct sync_store *store, const struct unit_statement *statement, int64_t before_us,
     int64_t after_id, const char *after_model, retain_models_cb *cb, void *arg)
{
	struct retain_call *retaining = call_new(arg);
	struct unit *unit = unit_new();

	retaining->models = cb;
	unit_add(unit, statement);
	unit_bind_int(unit, before_us);
	unit_bind_int(unit, after_id);
	unit_bind_text(unit, after_model);
	sync_send(store, unit, on_models, &retaining->call);
}

void
retain_find_old(struct sync_store *store, int64_t before_us, const struct retain_model *after,
		retain_models_cb *cb, void *arg)
{
	find(store, &retain_old, before_us, after->model != NULL ? after->connection_id : 0,
	     after->model != NULL ? after->model : "", cb, arg);
}

void
retain_find_idle(struct sync_store *store, int64_t before_us, const struct retain_model *after,
		 retain_models_cb *cb, void *arg)
{
	find(store, &retain_idle, before_us, after->model != NULL ? after->sync_id : 0,
	     after->model != NULL ? after->model : "", cb, arg);
}

/* ---- chunks --------------------------------------------------------------------------------- */

static void
on_chunk(void *arg, const struct unit_answer *answer)
{
	struct retain_call *retaining = arg;
	struct sl_error error;
	int64_t done = 0;
	bool more = false;
	int count;
	enum sl_code code = sync_outcome(&retaining->call, answer, &count, &error);

	if (code == SL_OK) {
		const PGresult *rows = sync_answer_rows(answer);

		done = value_int(rows, 0, 0);
		more = !PQgetisnull(rows, 0, 2);
		if (more) {
			retaining->at.after_us = value_int(rows, 0, 1);
			value_uuid(rows, 0, 2, retaining->at.after_uuid);
		}
	}
	retaining->chunk(retaining->call.arg, code, done, more ? &retaining->at : NULL,
			 code == SL_OK ? NULL : &error);
	free((void *)(uintptr_t)retaining->at.model.model);
	free(retaining);
}

static struct unit *
chunk_unit(struct retain_call *retaining, const struct retain_chunk *chunk,
	   const struct unit_statement *statement)
{
	struct unit *unit = unit_new();

	retaining->at = *chunk;
	retaining->at.model.model = sl_strdup(chunk->model.model);
	unit_add(unit, &retain_lock);
	unit_bind_int(unit, chunk->model.connection_id);
	unit_bind_text(unit, chunk->model.model);
	unit_add(unit, statement);
	unit_bind_int(unit, chunk->model.connection_id);
	unit_bind_text(unit, chunk->model.model);
	unit_bind_int(unit, chunk->after_us);
	unit_bind_text(unit, chunk->after_uuid[0] != '\0' ? chunk->after_uuid : RECORD_NO_UUID);
	unit_bind_int(unit, chunk->before_us);
	return unit;
}

void
retain_empty(struct sync_store *store, const struct retain_chunk *chunk, retain_chunk_cb *cb,
	     void *arg)
{
	struct retain_call *retaining = call_new(arg);

	retaining->chunk = cb;
	sync_send(store, chunk_unit(retaining, chunk, &retain_empty_rows), on_chunk,
		  &retaining->call);
}

void
retain_delete(struct sync_store *store, const struct retain_chunk *chunk, retain_chunk_cb *cb,
	      void *arg)
{
	struct retain_call *retaining = call_new(arg);
	struct unit *unit = chunk_unit(retaining, chunk, &retain_delete_rows);

	retaining->chunk = cb;
	unit_bind_int(unit, chunk->model.sync_id);
	sync_send(store, unit, on_chunk, &retaining->call);
}

void
retain_emptied(struct sync_store *store, int64_t sync_id, sync_done_cb *cb, void *arg)
{
	struct sync_call *call = sync_call_new(arg, NULL);
	struct unit *unit = unit_new();

	call->cb.done = cb;
	unit_add(unit, &retain_note);
	unit_bind_int(unit, sync_id);
	sync_send(store, unit, sync_on_done, call);
}
