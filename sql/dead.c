#include "sql/dead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "sql/dead_store.h"

#define DEAD_DOUBT_MS 10000 /* how long a replay in doubt is repeated */
#define DEAD_TIME_MAX_MS ((int64_t)1 << 47)

#define DEAD_SELECT                                                                          \
	"SELECT d.job_id, d.environment_id, d.kind, d.function_version_id, d.connection_id," \
	" coalesce(i.unique_key, ''), coalesce(f.name, ''), d.deaths, d.signal, d.memory,"   \
	" d.last_call, " DEAD_MS(                                                            \
	    "d.at") ", d.replays, d.last_replay FROM dead d"                                 \
		    " LEFT JOIN function_version v ON v.id = d.function_version_id"          \
		    " LEFT JOIN function f ON f.id = v.function_id"                          \
		    " LEFT JOIN integration i ON i.id = f.integration_id "

static const struct unit_statement dead_page = {
    "dead_page", DEAD_SELECT "WHERE ($1::bigint = 0 OR d.environment_id = $1::bigint)"
			     " AND ($2::uuid IS NULL OR d.job_id < $2::uuid)"
			     " ORDER BY d.job_id DESC LIMIT $3::bigint"};

static const struct unit_statement dead_one = {"dead_one", DEAD_SELECT "WHERE d.job_id = $1::uuid"};

static const struct unit_statement dead_deaths = {
    "dead_deaths", "SELECT cause, session_id, signal, memory, last_call, " DEAD_MS(
		       "at") " FROM death WHERE job_id = $1::uuid AND NOT open ORDER BY at, cause"};

/* A row for each id, in their order. */
static const struct unit_statement dead_replays = {
    "dead_replays", "SELECT CASE WHEN EXISTS (SELECT FROM dead d JOIN environment e"
		    "  ON e.id = d.environment_id WHERE d.job_id = i AND e.draining_at IS NOT NULL)"
		    "  AND NOT EXISTS (SELECT FROM job j WHERE j.id = n) THEN 7"
		    " ELSE replay_dead(i, n, $3::bigint) END,"
		    " (SELECT k.kind FROM job k WHERE k.id = i)"
		    " FROM unnest($1::uuid[], $2::uuid[]) u(i, n)"};

static const struct unit_statement dead_remove = {
    "dead_remove", "WITH gone AS (DELETE FROM dead WHERE job_id = ANY ($2::uuid[])"
		   "  AND ($1::bigint = 0 OR environment_id = $1::bigint) RETURNING job_id),"
		   " deaths AS (DELETE FROM death d USING gone WHERE d.job_id = gone.job_id)"
		   " SELECT count(*) FROM gone"};

static const struct unit_statement dead_remove_old = {
    "dead_remove_old",
    "WITH gone AS (DELETE FROM dead WHERE at < " DEAD_AT(
	"$2") "  AND ($1::bigint = 0 OR environment_id = $1::bigint) RETURNING job_id),"
	      " deaths AS (DELETE FROM death d USING gone WHERE d.job_id = gone.job_id)"
	      " SELECT count(*) FROM gone"};

static const struct unit_statement dead_in_order = {
    "dead_in_order", "SELECT set_config('enable_bitmapscan', 'off', true),"
		     " set_config('enable_seqscan', 'off', true)"};

/* ---- store and calls ------------------------------------------------------------------------ */

struct dead_store *
dead_store_new(struct loop *loop, const struct pg_settings *settings)
{
	struct dead_store *store = sl_alloc(sizeof(*store));

	store->loop = loop;
	store->pg = pg_new(loop, settings, NULL, NULL);
	return store;
}

void
dead_store_free(struct dead_store *store)
{
	if (store == NULL)
		return;
	store->closed = true;
	pg_free(store->pg);
	loop_free_later(store->loop, free, store);
}

bool
dead_store_is_up(const struct dead_store *store)
{
	return pg_is_up(store->pg);
}

struct dead_call *
dead_call_new(struct dead_store *store, void *arg)
{
	struct dead_call *call = sl_alloc(sizeof(*call));

	call->store = store;
	call->arg = arg;
	return call;
}

void
dead_send(struct dead_call *call, struct unit *unit, unit_cb *answered)
{
	unit_send(unit, call->store->pg, UNIT_WAIT_MS, answered, call);
}

struct unit *
dead_unit_in_order(void)
{
	struct unit *unit = unit_new();

	unit_add(unit, &dead_in_order);
	return unit;
}

static void
dead_on_refused(void *arg)
{
	struct dead_call *call = arg;

	if (call->cb.count != NULL)
		call->cb.count(call->arg, call->refused.code, 0, &call->refused);
	free(call);
}

void
dead_refuse_count(struct dead_call *call, enum sl_code code, const char *why)
{
	sl_fail(&call->refused, code, "%s", why);
	loop_soon(call->store->loop, dead_on_refused, call);
}

void
dead_on_count(void *arg, const struct unit_answer *answer)
{
	struct dead_call *call = arg;
	int64_t count = answer->code == SL_OK ? value_int(answer->results[0], 0, 0) : 0;

	if (call->cb.count != NULL)
		call->cb.count(call->arg, answer->code, count,
			       answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void
dead_read_row(struct dead_row *row, const PGresult *result, int i)
{
	value_uuid(result, i, 0, row->job_id);
	row->environment_id = value_int(result, i, 1);
	row->kind = (enum job_kind)value_int(result, i, 2);
	row->function_version_id = value_int(result, i, 3);
	row->connection_id = value_int(result, i, 4);
	row->integration = value_text(result, i, 5);
	row->function = value_text(result, i, 6);
	row->deaths = (int)value_int(result, i, 7);
	row->signal = (int)value_int(result, i, 8);
	row->memory = value_int(result, i, 9);
	row->last_call = value_text(result, i, 10);
	row->at_ms = value_int(result, i, 11);
	row->replays = (int)value_int(result, i, 12);
	if (!PQgetisnull(result, i, 13))
		value_uuid(result, i, 13, row->last_replay);
}

static void
dead_on_rows(void *arg, const struct unit_answer *answer)
{
	struct dead_call *call = arg;
	int count = answer->code == SL_OK ? PQntuples(answer->results[0]) : 0;
	struct dead_row *rows = sl_calloc((size_t)count + 1, sizeof(*rows));

	for (int i = 0; i < count; i++)
		dead_read_row(&rows[i], answer->results[0], i);
	call->cb.rows(call->arg, answer->code, rows, count,
		      answer->code == SL_OK ? NULL : &answer->error);
	free(rows);
	free(call);
}

static void
dead_on_rows_refused(void *arg)
{
	struct dead_call *call = arg;

	call->cb.rows(call->arg, call->refused.code, NULL, 0, &call->refused);
	free(call);
}

void
dead_list(struct dead_store *store, int64_t environment_id, const char *before, int limit,
	  dead_rows_cb *cb, void *arg)
{
	struct dead_call *call = dead_call_new(store, arg);
	char id[UUID_TEXT];
	struct unit *unit;

	call->cb.rows = cb;
	if (before != NULL && !uuid_parse(slice_text(before), id))
		sl_fail(&call->refused, SL_INVALID, "before is no uuid");
	else if (limit < 1 || limit > DEAD_CALL_MAX)
		sl_fail(&call->refused, SL_INVALID, "limit is %d, not 1 to %d", limit,
			DEAD_CALL_MAX);
	if (call->refused.code != SL_OK) {
		loop_soon(store->loop, dead_on_rows_refused, call);
		return;
	}
	unit = unit_new();
	unit_add(unit, &dead_page);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, before == NULL ? NULL : id);
	unit_bind_int(unit, limit);
	dead_send(call, unit, dead_on_rows);
}

static void
dead_on_show(void *arg, const struct unit_answer *answer)
{
	struct dead_call *call = arg;
	struct dead_death *deaths = NULL;
	struct dead_row row = {0};
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;
	int count = 0;

	if (code == SL_OK && PQntuples(answer->results[0]) == 0)
		code = sl_fail(&error, SL_NOT_FOUND, "the job is not in the dead list");
	if (code == SL_OK) {
		dead_read_row(&row, answer->results[0], 0);
		count = PQntuples(answer->results[1]);
	}
	deaths = sl_calloc((size_t)count + 1, sizeof(*deaths));
	for (int i = 0; i < count; i++) {
		deaths[i].cause = (enum settle_cause)value_int(answer->results[1], i, 0);
		deaths[i].session_id = value_int(answer->results[1], i, 1);
		deaths[i].signal = (int)value_int(answer->results[1], i, 2);
		deaths[i].memory = value_int(answer->results[1], i, 3);
		deaths[i].last_call = value_text(answer->results[1], i, 4);
		deaths[i].at_ms = value_int(answer->results[1], i, 5);
	}
	call->cb.show(call->arg, code, code == SL_OK ? &row : NULL, deaths, count,
		      code == SL_OK ? NULL : &error);
	free(deaths);
	free(call);
}

static void
dead_on_show_refused(void *arg)
{
	struct dead_call *call = arg;

	call->cb.show(call->arg, call->refused.code, NULL, NULL, 0, &call->refused);
	free(call);
}

void
dead_show(struct dead_store *store, const char *job_id, dead_show_cb *cb, void *arg)
{
	struct dead_call *call = dead_call_new(store, arg);
	char id[UUID_TEXT];
	struct unit *unit;

	call->cb.show = cb;
	if (!uuid_parse(slice_text(job_id), id)) {
		sl_fail(&call->refused, SL_INVALID, "the job id is no uuid");
		loop_soon(store->loop, dead_on_show_refused, call);
		return;
	}
	unit = unit_new();
	unit_add(unit, &dead_one);
	unit_bind_text(unit, id);
	unit_add(unit, &dead_deaths);
	unit_bind_text(unit, id);
	dead_send(call, unit, dead_on_show);
}

/* ---- replay --------------------------------------------------------------------------------- */

struct dead_replay {
	struct dead_store *store;
	struct dead_replayed *jobs; /* owned; new_id is what each gets if it is replayed */
	int count, max_replays;
	int64_t until_ms; /* of repeats; 0: none was needed yet */
	struct sl_error refused;
	dead_replay_cb *cb;
	void *arg;
};

static void dead_replay_send(struct dead_replay *replay);

static void
dead_replay_answer(struct dead_replay *replay, enum sl_code code, const struct sl_error *error)
{
	replay->cb(replay->arg, code, replay->jobs, code == SL_OK ? replay->count : 0,
		   code == SL_OK ? NULL : error);
	free(replay->jobs);
	free(replay);
}

/* What replay_dead() (0009_dead.sql) returned for each. */
static void
dead_replay_read(struct dead_replay *replay, const PGresult *rows)
{
	static const struct {
		enum sl_code code;
		const char *why;
	} answers[] = {
	    {SL_INTERNAL, "the ledger's answer is not known"},
	    {SL_OK, ""},
	    {SL_NOT_FOUND, "the job is not in the dead list, or is no longer kept"},
	    {SL_INVALID, "a run of a sync: start the sync instead"},
	    {SL_NOT_FOUND, "its function was deleted"},
	    {SL_CONFLICT, "its function is disabled: enable it first"},
	    {SL_EXHAUSTED, "it was replayed as often as is allowed"},
	    {SL_UNAVAILABLE, "its environment drains: resume it first"},
	};

	for (int i = 0; i < replay->count; i++) {
		int64_t answer = i < PQntuples(rows) ? value_int(rows, i, 0) : 0;

		if (answer < 0 || answer >= (int64_t)(sizeof(answers) / sizeof(*answers)))
			answer = 0;
		replay->jobs[i].code = answers[answer].code;
		replay->jobs[i].why = answers[answer].why;
		if (answer == 1 && value_int(rows, i, 1) != 0)
			metrics_count_kind(METRIC_JOBS_ENQUEUED,
					   (enum job_kind)value_int(rows, i, 1));
		if (answer != 1)
			replay->jobs[i].new_id[0] = '\0';
	}
}

/* Under the same new ids a repeat finds what the commit in doubt wrote. */
static void
dead_on_replayed(void *arg, const struct unit_answer *answer)
{
	struct dead_replay *replay = arg;
	int64_t now = clock_mono_ms();

	if (!replay->store->closed &&
	    (answer->in_doubt || (answer->code == SL_UNAVAILABLE && replay->until_ms > 0))) {
		if (replay->until_ms == 0)
			replay->until_ms = now + DEAD_DOUBT_MS;
		if (now < replay->until_ms) {
			dead_replay_send(replay);
			return;
		}
	}
	if (answer->code == SL_OK)
		dead_replay_read(replay, answer->results[0]);
	dead_replay_answer(replay, answer->code, &answer->error);
}

static void
dead_replay_send(struct dead_replay *replay)
{
	struct unit *unit = unit_new();
	struct value_array ids, fresh;

	value_array_init(&ids, VALUE_UUID);
	value_array_init(&fresh, VALUE_UUID);
	for (int i = 0; i < replay->count; i++) {
		value_array_uuid(&ids, replay->jobs[i].old_id);
		value_array_uuid(&fresh, replay->jobs[i].new_id);
	}
	unit_add(unit, &dead_replays);
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &fresh);
	unit_bind_int(unit, replay->max_replays);
	unit_send(unit, replay->store->pg, UNIT_WAIT_MS, dead_on_replayed, replay);
}

static void
dead_on_replay_refused(void *arg)
{
	struct dead_replay *replay = arg;

	dead_replay_answer(replay, replay->refused.code, &replay->refused);
}

static bool
dead_is_listed(const struct dead_replay *replay, const char *id)
{
	for (int i = 0; i < replay->count; i++)
		if (strcmp(replay->jobs[i].old_id, id) == 0)
			return true;
	return false;
}

void
dead_replay(struct dead_store *store, const char (*job_ids)[UUID_TEXT], int count, int max_replays,
	    dead_replay_cb *cb, void *arg)
{
	struct dead_replay *replay = sl_alloc(sizeof(*replay));
	char id[UUID_TEXT];

	replay->store = store;
	replay->max_replays = max_replays;
	replay->cb = cb;
	replay->arg = arg;
	if (count > DEAD_CALL_MAX) {
		sl_fail(&replay->refused, SL_INVALID, "%d ids, at most %d at a time", count,
			DEAD_CALL_MAX);
		count = 0;
	}
	replay->jobs = sl_calloc((size_t)count + 1, sizeof(*replay->jobs));
	for (int i = 0; i < count; i++) {
		if (!uuid_parse(slice_text(job_ids[i]), id)) {
			sl_fail(&replay->refused, SL_INVALID, "id %d is no uuid", i + 1);
		} else if (!dead_is_listed(replay, id)) {
			struct dead_replayed *job = &replay->jobs[replay->count++];

			memcpy(job->old_id, id, UUID_TEXT);
			uuid_v7(job->new_id);
		}
	}
	if (replay->refused.code != SL_OK)
		loop_soon(store->loop, dead_on_replay_refused, replay);
	else
		dead_replay_send(replay);
}

/* ---- purge ---------------------------------------------------------------------------------- */

void
dead_purge(struct dead_store *store, int64_t environment_id, const char (*job_ids)[UUID_TEXT],
	   int count, int64_t before_ms, dead_count_cb *cb, void *arg)
{
	struct dead_call *call = dead_call_new(store, arg);
	struct unit *unit = unit_new();
	struct value_array ids;
	char id[UUID_TEXT];
	bool good = count <= DEAD_CALL_MAX;

	call->cb.count = cb;
	value_array_init(&ids, VALUE_UUID);
	for (int i = 0; job_ids != NULL && good && i < count; i++) {
		good = uuid_parse(slice_text(job_ids[i]), id);
		if (good)
			value_array_uuid(&ids, id);
	}
	if (job_ids == NULL)
		good = before_ms >= 0 && before_ms <= DEAD_TIME_MAX_MS;
	if (!good) {
		value_array_fini(&ids);
		unit_free(unit);
		dead_refuse_count(call, SL_INVALID,
				  job_ids == NULL ? "before is out of range"
						  : "an id is no uuid, or there are too many");
		return;
	}
	unit_add(unit, job_ids != NULL ? &dead_remove : &dead_remove_old);
	unit_bind_int(unit, environment_id);
	if (job_ids != NULL) {
		unit_bind_array(unit, &ids);
	} else {
		value_array_fini(&ids);
		unit_bind_int(unit, before_ms);
	}
	dead_send(call, unit, dead_on_count);
}
