#include "sql/record_recount.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "sql/sync_store.h"

struct recount_call {
	struct sync_call call; /* first: what sync_send() knows */
	struct sync_store *store;
	recount_found_cb *found;
	recount_done_cb *done;
};

#define RECOUNT_NEWEST(row)                                                            \
	"(SELECT o.last_modified FROM record o WHERE o.connection_id = " row           \
	".connection_id AND o.model = " row ".model AND o.last_modified > '-infinity'" \
	" ORDER BY o.last_modified DESC LIMIT 1)"

static const struct unit_statement recount_mark = {
    "recount_mark",
    "WITH page AS MATERIALIZED (SELECT p.connection_id, p.model, m.newest,"
    "   m.connection_id IS NOT NULL AS known"
    "  FROM record_models($1::bigint, $2::text, $3::int) p LEFT JOIN LATERAL (SELECT * FROM"
    "   record_model k WHERE k.connection_id = p.connection_id AND k.model = p.model LIMIT 1) m"
    "  ON true),"
    " made AS (INSERT INTO record_model (connection_id, model, live, pruned_to)"
    "  SELECT p.connection_id, p.model, 0, '-infinity' FROM page p WHERE NOT p.known"
    "   AND (SELECT true FROM connection c WHERE c.id = p.connection_id FOR KEY SHARE)"
    "  ON CONFLICT DO NOTHING),"
    " marked AS (UPDATE record_model m SET counted_at = NULL FROM page p WHERE p.known"
    "  AND m.connection_id = p.connection_id AND m.model = p.model AND m.counted_at IS NOT NULL"
    "  AND " RECOUNT_NEWEST("m") " > m.newest)"
				 " SELECT connection_id, model FROM page"};

static const struct unit_statement recount_rows = {
    "recount_rows",
    "SELECT m.connection_id, m.model, (SELECT count(*) FROM record r WHERE r.connection_id ="
    "  m.connection_id AND r.model = m.model AND r.deleted IS NULL) - m.live, " SYNC_US(
	RECOUNT_NEWEST("m")) " FROM record_model m WHERE m.counted_at IS NULL LIMIT 1"};

static const struct unit_statement recount_write = {
    "recount_write",
    "UPDATE record_model SET live = live + $3::bigint, counted_at = now(),"
    " newest = greatest(newest, " SYNC_AT_US(
	"$4") ")"
	      " WHERE connection_id = $1::bigint AND model = $2::text AND counted_at IS NULL"};

static void
on_found(void *arg, const struct unit_answer *answer)
{
	struct recount_call *recount = arg;
	struct recount_place last = {0};
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(&recount->call, answer, &count, &error);

	if (count > 0) {
		const PGresult *rows = sync_answer_rows(answer);

		last.connection_id = value_int(rows, count - 1, 0);
		last.model = sl_strdup(value_text(rows, count - 1, 1));
	}
	recount->found(recount->call.arg, code, count == RECOUNT_MODELS, &last,
		       code == SL_OK ? NULL : &error);
	free(last.model);
	free(recount);
}

void
recount_find(struct sync_store *store, const struct recount_place *after, recount_found_cb *cb,
	     void *arg)
{
	struct recount_call *recount = sl_alloc(sizeof(*recount));
	struct unit *unit = unit_new();

	recount->call.arg = arg;
	recount->found = cb;
	unit_add(unit, &recount_mark);
	unit_bind_int(unit, after->connection_id);
	unit_bind_text(unit, after->model != NULL ? after->model : "");
	unit_bind_int(unit, RECOUNT_MODELS);
	sync_send(store, unit, on_found, &recount->call);
}

static void
on_written(void *arg, const struct unit_answer *answer)
{
	struct recount_call *recount = arg;
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(&recount->call, answer, &count, &error);

	recount->done(recount->call.arg, code, code == SL_OK, code == SL_OK ? NULL : &error);
	free(recount);
}

static void
on_rows(void *arg, const struct unit_answer *answer)
{
	struct recount_call *recount = arg;
	struct sl_error error;
	struct unit *unit;
	int count;
	enum sl_code code = sync_outcome(&recount->call, answer, &count, &error);
	const PGresult *rows;

	if (code != SL_OK || count == 0) {
		recount->done(recount->call.arg, code, false, code == SL_OK ? NULL : &error);
		free(recount);
		return;
	}
	rows = sync_answer_rows(answer);
	unit = unit_new();
	unit_add(unit, &recount_write);
	unit_bind_int(unit, value_int(rows, 0, 0));
	unit_bind_text(unit, value_text(rows, 0, 1));
	unit_bind_int(unit, value_int(rows, 0, 2));
	if (PQgetisnull(rows, 0, 3))
		unit_bind_text(unit, NULL);
	else
		unit_bind_int(unit, value_int(rows, 0, 3));
	sync_send(recount->store, unit, on_written, &recount->call);
}

void
recount_one(struct sync_store *store, recount_done_cb *cb, void *arg)
{
	struct recount_call *recount = sl_alloc(sizeof(*recount));
	struct unit *unit = unit_new();

	recount->call.arg = arg;
	recount->store = store;
	recount->done = cb;
	unit_add(unit, &recount_rows);
	sync_send(store, unit, on_rows, &recount->call);
}
