#include "sql/steer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "sql/account.h"
#include "sql/dead_store.h"
#include "sql/ledger.h"

#define STEER_DOUBT_MS 10000 /* how long a retry in doubt is repeated */

struct steer_call {
	steer_rows_cb *rows_cb;
	steer_count_cb *count_cb;
	steer_cb *cb;
	void *arg;
};

static const struct unit_statement steer_rows = {
    "steer_rows",
    "SELECT id::bigint, 0::bigint, paused_at IS NOT NULL, draining_at IS NOT NULL FROM environment"
    " WHERE paused_at IS NOT NULL OR draining_at IS NOT NULL"
    " UNION ALL SELECT k.environment_id::bigint, k.id, true, false"
    "  FROM paused_line p JOIN concurrency_key k ON k.id = p.key_id"};

#define STEER_TOLD ", pg_notify('" ACCOUNT_LIMITS "', $1::bigint::text)"

static const struct unit_statement steer_environment[] = {
    [STEER_PAUSE] = {"steer_pause", "UPDATE environment SET paused_at = coalesce(paused_at, now())"
				    " WHERE id = $1::bigint RETURNING id" STEER_TOLD},
    [STEER_DRAIN] = {"steer_drain",
		     "UPDATE environment SET draining_at = coalesce(draining_at, now())"
		     " WHERE id = $1::bigint RETURNING id" STEER_TOLD},
    [STEER_RESUME] = {"steer_resume", "UPDATE environment SET paused_at = NULL, draining_at = NULL"
				      " WHERE id = $1::bigint RETURNING id" STEER_TOLD},
};

static const struct unit_statement steer_line[] = {
    [STEER_PAUSE] = {"steer_pause_line",
		     "WITH k AS (SELECT id FROM concurrency_key WHERE id = $2::bigint"
		     "  AND environment_id = $1::bigint),"
		     " p AS (INSERT INTO paused_line (key_id) SELECT id FROM k"
		     "  ON CONFLICT (key_id) DO NOTHING)"
		     " SELECT id" STEER_TOLD " FROM k"},
    [STEER_RESUME] = {"steer_resume_line",
		      "WITH k AS (SELECT id FROM concurrency_key WHERE id = $2::bigint"
		      "  AND environment_id = $1::bigint),"
		      " p AS (DELETE FROM paused_line l USING k WHERE l.key_id = k.id)"
		      " SELECT id" STEER_TOLD " FROM k"},
};

/* One line's jobs lock the same rows: see cancel_job(). */
static const struct unit_statement steer_cancel_jobs = {
    "steer_cancel_jobs",
    "SELECT (SELECT j.kind FROM job j WHERE j.id = i) FROM unnest($1::uuid[]) u(i)"
    " WHERE cancel_job(i, $2::bigint, 0, $3::text) = 1"};

static const struct unit_statement steer_retry_job = {
    "steer_retry_job", "SELECT retry_job($1::uuid, $2::uuid),"
		       " (SELECT j.kind FROM job j WHERE j.id = $1::uuid)"};

static struct steer_call *
steer_call_new(void *arg)
{
	struct steer_call *call = sl_alloc(sizeof(*call));

	call->arg = arg;
	return call;
}

/* ---- lists ---------------------------------------------------------------------------------- */

static void
steer_on_rows(void *arg, const struct unit_answer *answer)
{
	struct steer_call *call = arg;
	int count = answer->code == SL_OK ? PQntuples(answer->results[0]) : 0;
	struct steer_row *rows = sl_calloc((size_t)count + 1, sizeof(*rows));

	for (int i = 0; i < count; i++)
		rows[i] = (struct steer_row){
		    value_int(answer->results[0], i, 0), value_int(answer->results[0], i, 1),
		    value_bool(answer->results[0], i, 2), value_bool(answer->results[0], i, 3)};
	call->rows_cb(call->arg, answer->code, rows, count,
		      answer->code == SL_OK ? NULL : &answer->error);
	free(rows);
	free(call);
}

void
steer_list(struct dead_store *store, steer_rows_cb *cb, void *arg)
{
	struct steer_call *call = steer_call_new(arg);
	struct unit *unit = unit_new();

	call->rows_cb = cb;
	unit_add(unit, &steer_rows);
	unit_send(unit, store->pg, UNIT_WAIT_MS, steer_on_rows, call);
}

/* ---- pause, drain, resume ------------------------------------------------------------------- */

static void
steer_on_set(void *arg, const struct unit_answer *answer)
{
	struct steer_call *call = arg;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;

	if (code == SL_OK && PQntuples(answer->results[0]) == 0)
		code = sl_fail(&error, SL_NOT_FOUND, "there is no such queue");
	call->cb(call->arg, code, code == SL_OK ? NULL : &error);
	free(call);
}

void
steer_set(struct dead_store *store, enum steer_what what, int64_t environment_id, int64_t key_id,
	  steer_cb *cb, void *arg)
{
	struct steer_call *call = steer_call_new(arg);
	struct unit *unit = unit_new();

	assert(key_id == 0 || what != STEER_DRAIN);
	call->cb = cb;
	unit_add(unit, key_id == 0 ? &steer_environment[what] : &steer_line[what]);
	unit_bind_int(unit, environment_id);
	if (key_id != 0)
		unit_bind_int(unit, key_id);
	unit_send(unit, store->pg, UNIT_WAIT_MS, steer_on_set, call);
}

/* ---- many cancels --------------------------------------------------------------------------- */

static void
steer_on_count(void *arg, const struct unit_answer *answer)
{
	struct steer_call *call = arg;
	int count = answer->code == SL_OK ? PQntuples(answer->results[0]) : 0;

	for (int row = 0; row < count; row++)
		metrics_finished((enum job_kind)value_int(answer->results[0], row, 0),
				 JOB_CANCELLED, false);
	call->count_cb(call->arg, answer->code, count,
		       answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
steer_cancel(struct dead_store *store, int64_t environment_id, const char (*job_ids)[UUID_TEXT],
	     int count, steer_count_cb *cb, void *arg)
{
	struct steer_call *call = steer_call_new(arg);
	struct unit *unit = unit_new();
	struct value_array ids;

	assert(count > 0 && count <= STEER_CANCEL_MAX);
	call->count_cb = cb;
	value_array_init(&ids, VALUE_UUID);
	for (int i = 0; i < count; i++)
		value_array_uuid(&ids, job_ids[i]);
	unit_add(unit, &steer_cancel_jobs);
	unit_bind_array(unit, &ids);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, LEDGER_CANCELLED_OUTPUT);
	unit_send(unit, store->pg, UNIT_WAIT_MS, steer_on_count, call);
}

/* ---- again ---------------------------------------------------------------------------------- */

struct steer_again {
	struct dead_store *store;
	char job_id[UUID_TEXT], new_id[UUID_TEXT];
	int64_t until_ms; /* of repeats; 0: none was needed yet */
	steer_retry_cb *cb;
	void *arg;
};

static void steer_again_send(struct steer_again *again);

/* Under the same new id a repeat finds what the commit in doubt wrote. */
static void
steer_on_retried(void *arg, const struct unit_answer *answer)
{
	struct steer_again *again = arg;
	enum steer_retried what = STEER_UNKNOWN;
	int64_t now = clock_mono_ms();

	if (!again->store->closed &&
	    (answer->in_doubt || (answer->code == SL_UNAVAILABLE && again->until_ms > 0))) {
		if (again->until_ms == 0)
			again->until_ms = now + STEER_DOUBT_MS;
		if (now < again->until_ms) {
			steer_again_send(again);
			return;
		}
	}
	if (answer->code == SL_OK)
		what = (enum steer_retried)value_int(answer->results[0], 0, 0);
	if (what == STEER_ACCEPTED)
		metrics_count_kind(METRIC_JOBS_ENQUEUED,
				   (enum job_kind)value_int(answer->results[0], 0, 1));
	again->cb(again->arg, answer->code, what, what == STEER_ACCEPTED ? again->new_id : "",
		  answer->code == SL_OK ? NULL : &answer->error);
	free(again);
}

static void
steer_again_send(struct steer_again *again)
{
	struct unit *unit = unit_new();

	unit_add(unit, &steer_retry_job);
	unit_bind_text(unit, again->job_id);
	unit_bind_text(unit, again->new_id);
	unit_send(unit, again->store->pg, UNIT_WAIT_MS, steer_on_retried, again);
}

void
steer_retry(struct dead_store *store, const char *job_id, steer_retry_cb *cb, void *arg)
{
	struct steer_again *again = sl_alloc(sizeof(*again));

	again->store = store;
	memcpy(again->job_id, job_id, UUID_TEXT);
	uuid_v7(again->new_id);
	again->cb = cb;
	again->arg = arg;
	steer_again_send(again);
}
