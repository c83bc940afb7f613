#include "sql/endpoint.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "sql/dead_store.h"

#define ENDPOINT_STRING(number) #number
#define ENDPOINT_TEXT(number) ENDPOINT_STRING(number)

/* Of rows p.  What is pending is found by the index of delivery_due, so many rows at most for each endpoint. */
#define ENDPOINT_SHOWN                                                                                      \
	"SELECT p.id, p.uuid, coalesce(n.name, ''), p.slot, p.url,"                                         \
	" CASE WHEN p.paused_at IS NOT NULL THEN 4 WHEN p.url = '' THEN 5"                                  \
	"  WHEN p.open_until > now() THEN 3 WHEN p.failing_since IS NOT NULL THEN 2"                        \
	"  ELSE 1 END::bigint,"                                                                             \
	" p.pause_cause, " DEAD_MS("p.paused_at") ", " DEAD_MS("p.failing_since") ", p.failures, " DEAD_MS( \
	    "CASE WHEN p.paused_at IS NULL AND p.url <> '' AND p.open_until > now()"                        \
	    " THEN p.open_until END") ", w.pending, w.oldest"
#define ENDPOINT_FROM                                                                                                \
	" LEFT JOIN environment n ON n.id = p.environment_id"                                                        \
	" LEFT JOIN LATERAL (SELECT count(*) AS pending, min(" DEAD_V7_MS(                                           \
	    "x.delivery_id") ")"                                                                                     \
			     "  AS oldest FROM (SELECT u.delivery_id FROM delivery_due u WHERE u.endpoint_id = p.id" \
			     "   ORDER BY u.due_at LIMIT " ENDPOINT_TEXT(                                            \
				 ENDPOINT_PENDING_MAX) " + 1) x) w ON true"

enum { ENDPOINT_COLUMNS = 13 };

#define ENDPOINT_ONE "p.uuid = $1::uuid AND ($2::bigint = 0 OR p.environment_id = $2::bigint)"

static const struct unit_statement endpoint_page = {
    NULL,
    "WITH p AS MATERIALIZED (SELECT * FROM endpoint p WHERE p.id > $1::bigint"
    "  AND ($2::bigint = 0 OR p.environment_id = $2::bigint) ORDER BY p.id LIMIT $3::bigint) " ENDPOINT_SHOWN
    " FROM p" ENDPOINT_FROM " ORDER BY p.id"};

static const struct unit_statement endpoint_one = {
    "endpoint_one", ENDPOINT_SHOWN " FROM endpoint p" ENDPOINT_FROM " WHERE " ENDPOINT_ONE};

static const struct unit_statement endpoint_pause_one = {
    "endpoint_pause_one", "UPDATE endpoint p SET paused_at = now(), pause_cause = 1"
			  " WHERE " ENDPOINT_ONE " AND p.paused_at IS NULL"};

/* With failing_since its next failure would pause it again at once. */
static const struct unit_statement endpoint_resume_one = {
    "endpoint_resume_one",
    "UPDATE endpoint p SET paused_at = NULL, pause_cause = 0, failing_since = NULL, failures = 0,"
    " open_until = NULL WHERE " ENDPOINT_ONE};

struct endpoint_call {
	union { /* the one that the reader of the answer knows */
		endpoint_list_cb *list;
		endpoint_cb *one;
	} cb;
	void *arg;
	int limit;
};

static struct endpoint_call *
endpoint_call_new(void *arg)
{
	struct endpoint_call *call = sl_alloc(sizeof(*call));

	call->arg = arg;
	return call;
}

static void
endpoint_read(struct endpoint_row *endpoint, const PGresult *rows, int row)
{
	int at = 0;

	endpoint->id = value_int(rows, row, at++);
	value_uuid(rows, row, at++, endpoint->uuid);
	endpoint->environment = value_text(rows, row, at++);
	endpoint->slot = (enum endpoint_slot)value_int(rows, row, at++);
	endpoint->url = value_text(rows, row, at++);
	endpoint->state = (enum endpoint_state)value_int(rows, row, at++);
	endpoint->pause = (enum endpoint_pause)value_int(rows, row, at++);
	endpoint->paused_ms = value_int(rows, row, at++);
	endpoint->failing_ms = value_int(rows, row, at++);
	endpoint->failures = (int)value_int(rows, row, at++);
	endpoint->retry_ms = value_int(rows, row, at++);
	endpoint->pending = value_int(rows, row, at++);
	endpoint->oldest_ms = value_int(rows, row, at++);
	assert(at == ENDPOINT_COLUMNS);
}

static void
endpoint_on_list(void *arg, const struct unit_answer *answer)
{
	struct endpoint_call *call = arg;
	const PGresult *list = answer->code == SL_OK ? answer->results[answer->count - 1] : NULL;
	int count = list != NULL ? PQntuples(list) : 0;
	struct endpoint_row *rows = sl_calloc((size_t)count + 1, sizeof(*rows));

	for (int i = 0; i < count; i++)
		endpoint_read(&rows[i], list, i);
	call->cb.list(call->arg, answer->code, rows, count,
		      count == call->limit ? rows[count - 1].id : 0,
		      answer->code == SL_OK ? NULL : &answer->error);
	free(rows);
	free(call);
}

void
endpoint_list(struct dead_store *store, int64_t environment_id, int64_t after, int limit,
	      endpoint_list_cb *cb, void *arg)
{
	struct endpoint_call *call = endpoint_call_new(arg);
	struct unit *unit = dead_unit_in_order();

	assert(limit >= 1 && limit <= ENDPOINT_LIST_MAX);
	call->cb.list = cb;
	call->limit = limit;
	unit_add(unit, &endpoint_page);
	unit_bind_int(unit, after);
	unit_bind_int(unit, environment_id);
	unit_bind_int(unit, limit);
	unit_send(unit, store->pg, UNIT_WAIT_MS, endpoint_on_list, call);
}

/* The last result is the row. */
static void
endpoint_on_one(void *arg, const struct unit_answer *answer)
{
	struct endpoint_call *call = arg;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;
	struct endpoint_row row = {0};

	if (code == SL_OK && PQntuples(answer->results[answer->count - 1]) == 0)
		code = sl_fail(&error, SL_NOT_FOUND, "there is no such endpoint");
	if (code == SL_OK)
		endpoint_read(&row, answer->results[answer->count - 1], 0);
	call->cb.one(call->arg, code, code == SL_OK ? &row : NULL, code == SL_OK ? NULL : &error);
	free(call);
}

/* change: NULL for none. */
static void
endpoint_send(struct dead_store *store, const struct unit_statement *change, int64_t environment_id,
	      const char *uuid, endpoint_cb *cb, void *arg)
{
	struct endpoint_call *call = endpoint_call_new(arg);
	struct unit *unit = dead_unit_in_order();

	call->cb.one = cb;
	if (change != NULL) {
		unit_add(unit, change);
		unit_bind_text(unit, uuid);
		unit_bind_int(unit, environment_id);
	}
	unit_add(unit, &endpoint_one);
	unit_bind_text(unit, uuid);
	unit_bind_int(unit, environment_id);
	unit_send(unit, store->pg, UNIT_WAIT_MS, endpoint_on_one, call);
}

void
endpoint_show(struct dead_store *store, int64_t environment_id, const char *uuid, endpoint_cb *cb,
	      void *arg)
{
	endpoint_send(store, NULL, environment_id, uuid, cb, arg);
}

void
endpoint_steer(struct dead_store *store, int64_t environment_id, const char *uuid, bool pause,
	       endpoint_cb *cb, void *arg)
{
	endpoint_send(store, pause ? &endpoint_pause_one : &endpoint_resume_one, environment_id,
		      uuid, cb, arg);
}
