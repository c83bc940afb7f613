#include "sql/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/job.h"
#include "sql/sync_store.h"
#include "sql/unit.h"

struct schedule_store {
	struct loop *loop;
	struct pg *pg;
};

struct schedule_call {
	union { /* the one that the reader of the answer knows */
		schedule_view_cb *view;
		schedule_pass_cb *pass;
		schedule_count_cb *count;
	} cb;
	void *arg;
};

/* Not min(): planned while the table is empty it would read all of it later. */
static const struct unit_statement schedule_view = {
    "schedule_view",
    "SELECT (SELECT greatest(ceil(extract(epoch FROM c.next_run_at - clock_timestamp()) * 1000), 0)"
    "  FROM schedule c WHERE c.next_run_at IS NOT NULL ORDER BY c.next_run_at LIMIT 1)::bigint,"
    " (extract(epoch FROM clock_timestamp()) * 1000)::bigint,"
    " EXISTS (SELECT FROM schedule_work WHERE NOT removed),"
    " EXISTS (SELECT FROM schedule_work WHERE removed)"};

/* What becomes of a schedule that is due, as the statement says it. */
enum schedule_outcome {
	SCHEDULE_STARTED = 1,
	SCHEDULE_OPEN = 2,
	SCHEDULE_LEFT_OUT = 3,
	SCHEDULE_POSTPONED = 4,
};

/* $1 how many at most, $2 that many job ids, $3 jitter, $4 room of others, $5 and $6 environments and
 * their rooms, $7 slots of a lane that is made.  Without a name it is planned each time, with what the tables are like then: a plan that was
 * made while they were empty walks through all of them later.  A sync that somebody else has locked is
 * being started, or saves records: it stays due. */
static const struct unit_statement schedule_due = {
    NULL,
    "WITH due AS MATERIALIZED ("
    "  SELECT c.sync_id, c.next_run_at, c.anchor, c.every_ms FROM schedule c"
    "  WHERE c.next_run_at <= now() ORDER BY c.next_run_at LIMIT $1::bigint FOR UPDATE SKIP LOCKED),"
    " held AS MATERIALIZED ("
    "  SELECT s.id, s.environment_id, s.function_id, s.connection_id, s.job_id, s.claimed_at"
    "  FROM sync s WHERE s.id = ANY (ARRAY(SELECT sync_id FROM due))"
    "  FOR NO KEY UPDATE SKIP LOCKED),"
    " place AS MATERIALIZED ("
    "  SELECT e.id, e.draining_at IS NOT NULL AS draining, coalesce(r.room, $4::bigint) AS room,"
    "   sync_lane(e.id, $7::bigint::int) AS key_id"
    "  FROM environment e LEFT JOIN unnest($5::bigint[], $6::bigint[]) r(id, room) ON r.id = e.id"
    "  WHERE e.id = ANY (ARRAY(SELECT environment_id FROM held))),"
    " judged AS MATERIALIZED ("
    "  SELECT d.*, s.environment_id, s.connection_id, f.version_id, p.key_id, p.room, CASE"
    "    WHEN " SYNC_OPEN " THEN 2"
    "    WHEN f.version_id IS NULL THEN 3"
    "    WHEN p.draining OR p.room <= 0 THEN 4 ELSE 1 END AS outcome"
    "  FROM held s JOIN due d ON d.sync_id = s.id JOIN place p ON p.id = s.environment_id"
    "  LEFT JOIN function f ON f.id = s.function_id AND f.enabled AND f.deleted_at IS NULL),"
    " taken AS MATERIALIZED ("
    "  SELECT j.*, ($2::uuid[])[row_number()"
    "    OVER (ORDER BY j.outcome <> 1, j.next_run_at, j.sync_id)] AS job_id"
    "  FROM (SELECT *, row_number() OVER (PARTITION BY environment_id, outcome"
    "    ORDER BY next_run_at, sync_id) AS nth FROM judged) j"
    "  WHERE j.outcome <> 1 OR j.nth <= j.room),"
    " accepted AS ("
    "  INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind,"
    "   max_retries, webhook, input) SELECT job_id, environment_id, key_id, version_id,"
    "   connection_id, 2, 0, false,"
    "   convert_to('{\"sync\":' || sync_id || ',\"emptyCache\":false}', 'UTF8')"
    "   FROM taken WHERE outcome = 1 ORDER BY next_run_at, sync_id RETURNING *),"
    " noted AS ("
    "  UPDATE sync s SET job_id = t.job_id, claimed_at = now() FROM taken t"
    "  WHERE s.id = t.sync_id AND t.outcome = 1),"
    " moved AS ("
    "  UPDATE schedule c SET next_run_at = CASE WHEN t.outcome = 4"
    "    THEN least(next_slot(t.anchor, t.every_ms, now()),"
    "     now() + (0.5 + random()) * interval '1 minute')"
    "    ELSE next_slot(t.anchor, t.every_ms, now()) + some_jitter(t.every_ms, $3::bigint) END"
    "  FROM taken t WHERE c.sync_id = t.sync_id)"
    " SELECT 1, a.environment_id, a.id, a.seq, a.key_id, a.function_version_id, a.connection_id,"
    "  (extract(epoch FROM a.accepted_at) * 1000)::bigint, a.input FROM accepted a"
    " UNION ALL SELECT j.outcome, j.environment_id, NULL, 0, NULL, NULL, NULL, NULL, NULL"
    "  FROM judged j WHERE j.outcome <> 1 ORDER BY 4"};

static const struct unit_statement schedule_make_some = {
    NULL, "SELECT make_scheduled($1::bigint::int, $2::bigint)::bigint"};

static const struct unit_statement schedule_remove_some = {
    NULL, "SELECT remove_scheduled($1::bigint::int)::bigint"};

static const struct unit_statement schedule_nearer = {
    NULL,
    "WITH u AS (UPDATE schedule c SET"
    " next_run_at = next_slot(c.anchor, c.every_ms, now()) + some_jitter(c.every_ms, $1::bigint)"
    " WHERE c.next_run_at > now() + (c.every_ms + $1::bigint) * interval '1 millisecond'"
    " RETURNING 1) SELECT count(*) FROM u"};

struct schedule_store *
schedule_store_new(struct loop *loop, const struct pg_settings *settings)
{
	struct schedule_store *store = sl_alloc(sizeof(*store));

	store->loop = loop;
	store->pg = pg_new(loop, settings, NULL, NULL);
	return store;
}

void
schedule_store_free(struct schedule_store *store)
{
	if (store == NULL)
		return;
	pg_free(store->pg);
	loop_free_later(store->loop, free, store);
}

static struct schedule_call *
schedule_call_new(void *arg)
{
	struct schedule_call *call = sl_alloc(sizeof(*call));

	call->arg = arg;
	return call;
}

/* ---- looking -------------------------------------------------------------------------------- */

static void
schedule_view_read(struct schedule_view *view, const PGresult *rows)
{
	view->wait_ms = PQgetisnull(rows, 0, 0) ? SCHEDULE_NEVER : value_int(rows, 0, 0);
	view->wall_ms = value_int(rows, 0, 1);
	view->make = value_bool(rows, 0, 2);
	view->remove = value_bool(rows, 0, 3);
}

static void
schedule_on_view(void *arg, const struct unit_answer *answer)
{
	struct schedule_call *call = arg;
	struct schedule_view view = {.wait_ms = SCHEDULE_NEVER};

	if (answer->code == SL_OK)
		schedule_view_read(&view, answer->results[0]);
	call->cb.view(call->arg, answer->code, &view,
		      answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
schedule_look(struct schedule_store *store, schedule_view_cb *cb, void *arg)
{
	struct schedule_call *call = schedule_call_new(arg);
	struct unit *unit = unit_new();

	call->cb.view = cb;
	unit_add(unit, &schedule_view);
	unit_send(unit, store->pg, UNIT_WAIT_MS, schedule_on_view, call);
}

/* ---- due runs ------------------------------------------------------------------------------- */

static void
schedule_job_read(struct reclaim_job *job, const PGresult *rows, int row)
{
	job->environment_id = value_int(rows, row, 1);
	value_uuid(rows, row, 2, job->id);
	job->seq = value_int(rows, row, 3);
	job->key_id = value_int(rows, row, 4);
	job->function_version_id = value_int(rows, row, 5);
	job->connection_id = value_int(rows, row, 6);
	job->accepted_ms = value_int(rows, row, 7);
	job->input = value_bytes(rows, row, 8);
	job->has_input = true;
	job->kind = JOB_SYNC;
	job->attempt = 1;
}

static void
schedule_on_pass(void *arg, const struct unit_answer *answer)
{
	struct schedule_call *call = arg;
	struct schedule_pass pass = {.view = {.wait_ms = SCHEDULE_NEVER}};
	bool ok = answer->code == SL_OK;
	const PGresult *rows = ok ? answer->results[0] : NULL;
	int count = ok ? PQntuples(rows) : 0;
	struct reclaim_job *jobs = sl_calloc((size_t)count + 1, sizeof(*jobs));

	for (int i = 0; i < count; i++) {
		switch ((enum schedule_outcome)value_int(rows, i, 0)) {
		case SCHEDULE_STARTED:
			schedule_job_read(&jobs[pass.count++], rows, i);
			break;
		case SCHEDULE_OPEN:
			pass.open++;
			break;
		case SCHEDULE_LEFT_OUT:
		case SCHEDULE_POSTPONED:
			pass.postponed++;
			break;
		}
	}
	if (ok)
		schedule_view_read(&pass.view, answer->results[1]);
	pass.jobs = jobs;
	call->cb.pass(call->arg, answer->code, &pass, ok ? NULL : &answer->error);
	free(jobs);
	free(call);
}

void
schedule_take(struct schedule_store *store, const struct schedule_ask *ask, schedule_pass_cb *cb,
	      void *arg)
{
	struct schedule_call *call = schedule_call_new(arg);
	struct value_array ids, environments, rooms;
	struct unit *unit = unit_new();
	char id[UUID_TEXT];

	call->cb.pass = cb;
	value_array_init(&ids, VALUE_UUID);
	for (int i = 0; i < SCHEDULE_RUNS_MAX; i++) {
		uuid_v7(id);
		value_array_uuid(&ids, id);
	}
	value_array_init(&environments, VALUE_INT8);
	value_array_init(&rooms, VALUE_INT8);
	for (int i = 0; i < ask->room_count; i++) {
		value_array_int(&environments, ask->rooms[i].environment_id);
		value_array_int(&rooms, ask->rooms[i].room);
	}
	unit_add(unit, &schedule_due);
	unit_bind_int(unit, SCHEDULE_RUNS_MAX);
	unit_bind_array(unit, &ids);
	unit_bind_int(unit, ask->jitter_ms);
	unit_bind_int(unit, ask->default_room);
	unit_bind_array(unit, &environments);
	unit_bind_array(unit, &rooms);
	unit_bind_int(unit, ask->sync_limit);
	unit_add(unit, &schedule_view);
	unit_send(unit, store->pg, UNIT_WAIT_MS, schedule_on_pass, call);
}

/* ---- work ----------------------------------------------------------------------------------- */

static void
schedule_on_count(void *arg, const struct unit_answer *answer)
{
	struct schedule_call *call = arg;
	bool ok = answer->code == SL_OK;

	call->cb.count(call->arg, answer->code, ok ? value_int(answer->results[0], 0, 0) : 0,
		       ok ? NULL : &answer->error);
	free(call);
}

static struct schedule_call *
schedule_count_call(schedule_count_cb *cb, void *arg)
{
	struct schedule_call *call = schedule_call_new(arg);

	call->cb.count = cb;
	return call;
}

void
schedule_make(struct schedule_store *store, int64_t jitter_ms, schedule_count_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &schedule_make_some);
	unit_bind_int(unit, SCHEDULE_MAKE_MAX);
	unit_bind_int(unit, jitter_ms);
	unit_send(unit, store->pg, UNIT_WAIT_MS, schedule_on_count, schedule_count_call(cb, arg));
}

void
schedule_remove(struct schedule_store *store, schedule_count_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &schedule_remove_some);
	unit_bind_int(unit, SCHEDULE_REMOVE_MAX);
	unit_send(unit, store->pg, UNIT_WAIT_MS, schedule_on_count, schedule_count_call(cb, arg));
}

void
schedule_set_back(struct schedule_store *store, int64_t jitter_ms, schedule_count_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &schedule_nearer);
	unit_bind_int(unit, jitter_ms);
	unit_send(unit, store->pg, UNIT_WAIT_MS, schedule_on_count, schedule_count_call(cb, arg));
}
