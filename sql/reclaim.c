#include "sql/reclaim.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/envelope.h"
#include "base/log.h"
#include "base/metrics.h"
#include "sql/ledger.h"
#include "sql/resolve.h"
#include "sql/unit.h"

/* A worker whose clock is behind may still start a job that is late by the ledger's. */
#define RECLAIM_GRACE_MS "5000"

struct reclaim {
	struct loop *loop;
	struct pg *pg;
	bool leader;
};

/* What a call wants back; which callback is set says of what kind it is. */
struct reclaim_call {
	struct reclaim *reclaim;
	reclaim_cb *cb;
	reclaim_sessions_cb *sessions_cb;
	reclaim_jobs_cb *jobs_cb;
	reclaim_limits_cb *limits_cb;
	reclaim_delayed_cb *delayed_cb;
	reclaim_syncs_cb *syncs_cb;
	void *arg;
	int lost; /* index of the commands of resolve.h; -1: none */
};

/* The lock counts how often it was taken, so the leader looks whether it has it and only then asks:
 * on the server, because only there it is sure to be the same connection. */
static const struct unit_statement reclaim_lock = {
    "reclaim_lock",
    "SELECT CASE WHEN EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND classid = 1397511491 AND objid = 2 AND objsubid = 2 AND pid = pg_backend_pid())"
    " THEN true ELSE pg_try_advisory_lock(1397511491, 2) END"};

static const struct unit_statement reclaim_bump = {
    "reclaim_bump", "UPDATE leader SET beat = beat + 1 RETURNING beat"};

static const struct unit_statement reclaim_watch = {"reclaim_watch", "SELECT beat FROM leader"};

/* Only the holder of the lock in this database (the view shows those of all of them), and only while its
 * beat is the one that stood still. */
static const struct unit_statement reclaim_kick = {
    NULL, "SELECT count(*) FILTER (WHERE pg_terminate_backend(l.pid)) FROM pg_locks l, leader"
	  " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 1397511491 AND l.objid = 2"
	  " AND l.objsubid = 2 AND l.pid <> pg_backend_pid() AND leader.beat = $1::bigint"
	  " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"};

static const struct unit_statement reclaim_live = {
    NULL, "SELECT id, beat FROM session WHERE live ORDER BY id"};

static const struct unit_statement reclaim_end = {
    "reclaim_end", "UPDATE session SET live = false"
		   " WHERE id = $1::bigint AND beat = $2::bigint AND live RETURNING id"};

static const struct unit_statement reclaim_end_all = {
    NULL, "UPDATE session SET live = false WHERE live RETURNING id"};

/* Without a name a statement is planned each time it runs, with what the tables are like then:
 * these scan, and a plan made while a partition was empty must not be kept for when it is full. */
#define RECLAIM_COLUMNS                                                                            \
	"j.id, j.seq, j.environment_id, j.key_id, j.function_version_id, j.connection_id,"         \
	" j.kind, j.max_retries, (SELECT coalesce(max(a.number), 0) + 1 FROM attempt a"            \
	"  WHERE a.job_id = j.id), j.webhook, (extract(epoch FROM j.accepted_at) * 1000)::bigint," \
	" coalesce(length(j.input), 0) <= $1::bigint,"                                             \
	" CASE WHEN length(j.input) <= $1::bigint THEN j.input END"
#define RECLAIM_OPEN " NOT EXISTS (SELECT FROM result r WHERE r.job_id = j.id)"

/* A retry that is lost between here and Redis is found again as an open job. */
static const struct unit_statement reclaim_take_retries = {
    NULL, "WITH due AS (SELECT job_id, number FROM retry WHERE due_at <= now()"
	  "  ORDER BY due_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED),"
	  " taken AS (DELETE FROM retry w USING due"
	  "  WHERE w.job_id = due.job_id AND w.number = due.number RETURNING w.job_id)"
	  " SELECT " RECLAIM_COLUMNS
	  " FROM taken t JOIN job j ON j.id = t.job_id WHERE" RECLAIM_OPEN " ORDER BY j.seq"};

static const struct unit_statement reclaim_open = {
    NULL, "SELECT " RECLAIM_COLUMNS " FROM job j WHERE j.id > $2::uuid AND" RECLAIM_OPEN
	  " AND j.accepted_at <= now() - $3::bigint * interval '1 millisecond'"
	  " AND NOT EXISTS (SELECT FROM retry w WHERE w.job_id = j.id)"
	  " ORDER BY j.id LIMIT $4::bigint"};

static const struct unit_statement reclaim_count_delayed = {
    NULL, "SELECT coalesce(d.id, e.id::bigint), coalesce(d.jobs, 0), coalesce(d.late, 0),"
	  " e.paused_at IS NOT NULL, e.draining_at IS NOT NULL"
	  " FROM (SELECT j.environment_id AS id, count(*) AS jobs,"
	  "  greatest(extract(epoch FROM now() - min(w.due_at)) * 1000, 0)::bigint AS late"
	  "  FROM (SELECT job_id, due_at FROM retry ORDER BY due_at LIMIT $1::bigint) w"
	  "  JOIN job j ON j.id = w.job_id GROUP BY j.environment_id) d"
	  " FULL JOIN (SELECT id, paused_at, draining_at FROM environment"
	  "  WHERE paused_at IS NOT NULL OR draining_at IS NOT NULL) e ON e.id = d.id"};

/* The setting of the node that leads holds for the fleet. */
static const struct unit_statement reclaim_lanes = {
    NULL, "UPDATE concurrency_key k SET slots = coalesce(e.sync_limit, $1::bigint)"
	  " FROM environment e WHERE e.id = k.environment_id AND k.name = 'syncs'"
	  " AND k.slots <> coalesce(e.sync_limit, $1::bigint)"};

static const struct unit_statement reclaim_slots = {
    NULL, "SELECT id, environment_id, slots FROM key_limits()"};

static const struct unit_statement reclaim_add_partitions = {NULL, "SELECT add_partitions(-1, 3)"};
static const struct unit_statement reclaim_forget_keys = {
    NULL, "DELETE FROM idempotency WHERE expires_at < now()"};

/* State 4 is JOB_EXPIRED. */
#define RECLAIM_LATE                                                                            \
	"WITH late AS (INSERT INTO result (job_id, attempt, state, session_id, output)"         \
	" SELECT j.id, 0, 4, 0, convert_to($3, 'UTF8')"                                         \
	" FROM unnest($1::uuid[], $2::bigint[]) u(i, l) JOIN job j ON j.id = i"                 \
	" WHERE j.accepted_at <= now() - (l + " RECLAIM_GRACE_MS ") * interval '1 millisecond'" \
	" AND NOT EXISTS (SELECT FROM attempt a WHERE a.job_id = j.id)"                         \
	" AND NOT EXISTS (SELECT FROM retry w WHERE w.job_id = j.id)"                           \
	" AND NOT EXISTS (SELECT FROM death d WHERE d.job_id = j.id)"
#define RECLAIM_LATE_ENDED                                        \
	" ON CONFLICT (job_id) DO NOTHING RETURNING job_id)"      \
	" SELECT (SELECT k.kind FROM job k WHERE k.id = job_id)," \
	" run_ended(job_id, 4, NULL) FROM late"

static const struct unit_statement reclaim_end_late = {
    NULL, RECLAIM_LATE " AND NOT EXISTS (SELECT FROM hold h JOIN session s ON s.id = h.session_id"
		       "  WHERE h.key_id = j.key_id AND s.live)" RECLAIM_LATE_ENDED};

/* With it no worker's batch is under way: a job that is begun has its attempt by now, and a begin that
 * comes later finds the result. */
static const struct unit_statement reclaim_stop_begins = {
    NULL, "SELECT FROM session WHERE live ORDER BY id FOR NO KEY UPDATE"};

static const struct unit_statement reclaim_end_waiting = {NULL, RECLAIM_LATE RECLAIM_LATE_ENDED};

static const struct unit_statement reclaim_drop_table = {
    NULL, "SELECT drop_old_table($1::bigint * interval '1 millisecond')"};
static const struct unit_statement reclaim_drop_strays = {
    NULL, "SELECT delete_old_strays($1::bigint * interval '1 millisecond')"};
static const struct unit_statement reclaim_drop_events = {
    NULL, "SELECT delete_old_events($1::bigint * interval '1 millisecond')"};
static const struct unit_statement reclaim_drop_dead = {
    NULL, "SELECT delete_old_dead($1::bigint * interval '1 millisecond')"};

/* A hold whose session is not known could never be claimed again, and a begun attempt is found by its
 * session: those keep the row. */
static const struct unit_statement reclaim_drop_sessions = {
    NULL, "DELETE FROM session s WHERE s.id IN (SELECT d.id FROM session d WHERE NOT d.live"
	  "  AND d.started_at < now() - $1::bigint * interval '1 millisecond'"
	  "  AND NOT EXISTS (SELECT FROM hold h WHERE h.session_id = d.id)"
	  "  AND NOT EXISTS (SELECT FROM attempt a WHERE a.session_id = d.id AND a.ended_at IS NULL"
	  "   AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = a.job_id))"
	  "  ORDER BY d.id LIMIT 1000)"};

static void
reclaim_on_state(void *arg, bool up)
{
	struct reclaim *reclaim = arg;

	(void)up;
	if (reclaim->leader)
		log_warn("leadership_lost", "reason=%s", log_text(pg_last_error(reclaim->pg)));
	reclaim->leader = false; /* the lock went with the connection */
}

struct reclaim *
reclaim_new(struct loop *loop, const struct pg_settings *settings)
{
	struct reclaim *reclaim = sl_alloc(sizeof(*reclaim));

	reclaim->loop = loop;
	reclaim->pg = pg_new(loop, settings, reclaim_on_state, reclaim);
	return reclaim;
}

void
reclaim_free(struct reclaim *reclaim)
{
	if (reclaim == NULL)
		return;
	reclaim->leader = false;
	pg_free(reclaim->pg);
	loop_free_later(reclaim->loop, free, reclaim);
}

/* The counts read all schedules, some 10 ms for 100,000 of them; the rest is found by indexes.  Without a name
 * it is planned with what the tables are like at the time. */
static const struct unit_statement reclaim_count_syncs = {
    NULL,
    "SELECT c.started, c.paused, coalesce((SELECT greatest((extract(epoch FROM now()"
    "   - s.next_run_at) * 1000)::bigint, 0) FROM schedule s WHERE s.next_run_at IS NOT NULL"
    "   ORDER BY s.next_run_at LIMIT 1), 0), t.one, t.two, t.three"
    " FROM (SELECT count(*) FILTER (WHERE started) AS started,"
    "   count(*) FILTER (WHERE NOT started) AS paused FROM schedule) c,"
    "  (SELECT count(*) FILTER (WHERE trouble = 1) AS one, count(*) FILTER (WHERE trouble = 2)"
    "   AS two, count(*) FILTER (WHERE trouble = 3) AS three FROM sync"
    "   WHERE trouble <> 0 AND removed_at IS NULL) t"};

static struct reclaim_call *
reclaim_call_new(struct reclaim *reclaim, reclaim_cb *cb, void *arg)
{
	struct reclaim_call *call = sl_alloc(sizeof(*call));

	call->reclaim = reclaim;
	call->cb = cb;
	call->arg = arg;
	call->lost = -1;
	return call;
}

/* ---- counts --------------------------------------------------------------------------------- */

static void
reclaim_answer(struct reclaim_call *call, enum sl_code code, int64_t count,
	       const struct sl_error *error)
{
	call->cb(call->arg, code, count, code == SL_OK ? NULL : error);
	free(call);
}

static void
reclaim_on_number(void *arg, const struct unit_answer *answer)
{
	int64_t number = answer->code == SL_OK ? value_int(answer->results[0], 0, 0) : 0;

	reclaim_answer(arg, answer->code, number, &answer->error);
}

static void
reclaim_on_lock(void *arg, const struct unit_answer *answer)
{
	struct reclaim_call *call = arg;
	bool leader = answer->code == SL_OK && value_bool(answer->results[0], 0, 0);

	if (leader && !call->reclaim->leader)
		log_info("leadership_taken", "connection=scheduler");
	call->reclaim->leader = leader;
	reclaim_answer(call, answer->code, leader, &answer->error);
}

void
reclaim_lead(struct reclaim *reclaim, reclaim_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &reclaim_lock);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_lock,
		  reclaim_call_new(reclaim, cb, arg));
}

void
reclaim_leader_beat(struct reclaim *reclaim, reclaim_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, reclaim_is_leader(reclaim) ? &reclaim_bump : &reclaim_watch);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_number,
		  reclaim_call_new(reclaim, cb, arg));
}

void
reclaim_depose(struct reclaim *reclaim, int64_t beat, reclaim_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &reclaim_kick);
	unit_bind_int(unit, beat);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_number,
		  reclaim_call_new(reclaim, cb, arg));
}

bool
reclaim_is_leader(const struct reclaim *reclaim)
{
	return reclaim->leader && pg_is_up(reclaim->pg);
}

void
reclaim_partitions(struct reclaim *reclaim, reclaim_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &reclaim_add_partitions);
	unit_add(unit, &reclaim_forget_keys);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_number,
		  reclaim_call_new(reclaim, cb, arg));
}

void
reclaim_drop_old(struct reclaim *reclaim, int64_t keep_ms, reclaim_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &reclaim_drop_table);
	unit_bind_int(unit, keep_ms);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_number,
		  reclaim_call_new(reclaim, cb, arg));
}

void
reclaim_delete_old(struct reclaim *reclaim, int64_t keep_ms, reclaim_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &reclaim_drop_strays);
	unit_bind_int(unit, keep_ms);
	unit_add(unit, &reclaim_drop_dead);
	unit_bind_int(unit, keep_ms);
	unit_add(unit, &reclaim_drop_sessions);
	unit_bind_int(unit, keep_ms);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_number,
		  reclaim_call_new(reclaim, cb, arg));
}

void
reclaim_drop_old_events(struct reclaim *reclaim, int64_t keep_ms, reclaim_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &reclaim_drop_events);
	unit_bind_int(unit, keep_ms);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_number,
		  reclaim_call_new(reclaim, cb, arg));
}

/* ---- sessions ------------------------------------------------------------------------------- */

static void
reclaim_on_sessions(void *arg, const struct unit_answer *answer)
{
	struct reclaim_call *call = arg;
	struct reclaim_session *sessions = NULL;
	int count = answer->code == SL_OK ? PQntuples(answer->results[0]) : 0;

	sessions = sl_calloc((size_t)count + 1, sizeof(*sessions));
	for (int i = 0; i < count; i++) {
		sessions[i].id = value_int(answer->results[0], i, 0);
		sessions[i].beat = value_int(answer->results[0], i, 1);
	}
	call->sessions_cb(call->arg, answer->code, sessions, count);
	free(sessions);
	free(call);
}

void
reclaim_sessions(struct reclaim *reclaim, reclaim_sessions_cb *cb, void *arg)
{
	struct reclaim_call *call = reclaim_call_new(reclaim, NULL, arg);
	struct unit *unit = unit_new();

	call->sessions_cb = cb;
	unit_add(unit, &reclaim_live);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_sessions, call);
}

static void
reclaim_on_end(void *arg, const struct unit_answer *answer)
{
	struct reclaim_call *call = arg;
	struct sl_error error;

	if (answer->code != SL_OK) {
		reclaim_answer(call, answer->code, 0, &answer->error);
	} else if (PQntuples(answer->results[0]) == 0) {
		sl_fail(&error, SL_CONFLICT, "the session moved meanwhile");
		reclaim_answer(call, SL_CONFLICT, 0, &error);
	} else {
		reclaim_answer(call, SL_OK, resolve_count(answer, call->lost), NULL);
	}
}

void
reclaim_end_session(struct reclaim *reclaim, int64_t id, int64_t beat, int deaths_max,
		    reclaim_cb *cb, void *arg)
{
	struct reclaim_call *call = reclaim_call_new(reclaim, cb, arg);
	struct unit *unit = unit_new();

	unit_add(unit, &reclaim_end);
	unit_bind_int(unit, id);
	unit_bind_int(unit, beat);
	call->lost = resolve_add(unit, deaths_max);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_end, call);
}

static void
reclaim_on_end_all(void *arg, const struct unit_answer *answer)
{
	struct reclaim_call *call = arg;
	int count = answer->code == SL_OK ? PQntuples(answer->results[0]) : 0;

	if (answer->code == SL_OK)
		metric_add(&metrics[METRIC_REPAIRS], METRIC_JOB_RESOLVED, 0,
			   (double)resolve_count(answer, call->lost));
	reclaim_answer(call, answer->code, count, &answer->error);
}

void
reclaim_end_all_sessions(struct reclaim *reclaim, int deaths_max, reclaim_cb *cb, void *arg)
{
	struct reclaim_call *call = reclaim_call_new(reclaim, cb, arg);
	struct unit *unit = unit_new();

	unit_add(unit, &reclaim_end_all);
	call->lost = resolve_add(unit, deaths_max);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_end_all, call);
}

/* ---- limits --------------------------------------------------------------------------------- */

static void
reclaim_on_limits(void *arg, const struct unit_answer *answer)
{
	struct reclaim_call *call = arg;
	struct reclaim_limit *limits;
	const PGresult *rows = answer->code == SL_OK ? answer->results[1] : NULL;
	int count = rows != NULL ? PQntuples(rows) : 0;

	limits = sl_calloc((size_t)count + 1, sizeof(*limits));
	for (int i = 0; i < count; i++) {
		limits[i].key_id = value_int(rows, i, 0);
		limits[i].environment_id = value_int(rows, i, 1);
		limits[i].slots = (int)value_int(rows, i, 2);
	}
	call->limits_cb(call->arg, answer->code, limits, count);
	free(limits);
	free(call);
}

void
reclaim_limits(struct reclaim *reclaim, int sync_limit, reclaim_limits_cb *cb, void *arg)
{
	struct reclaim_call *call = reclaim_call_new(reclaim, NULL, arg);
	struct unit *unit = unit_new();

	call->limits_cb = cb;
	unit_add(unit, &reclaim_lanes);
	unit_bind_int(unit, sync_limit);
	unit_add(unit, &reclaim_slots);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_limits, call);
}

/* ---- what is delayed ------------------------------------------------------------------------ */

static void
reclaim_on_delayed(void *arg, const struct unit_answer *answer)
{
	struct reclaim_call *call = arg;
	struct reclaim_delayed *rows;
	int count = answer->code == SL_OK ? PQntuples(answer->results[0]) : 0;

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (int i = 0; i < count; i++) {
		rows[i].environment_id = value_int(answer->results[0], i, 0);
		rows[i].jobs = value_int(answer->results[0], i, 1);
		rows[i].late_ms = value_int(answer->results[0], i, 2);
		rows[i].paused = value_bool(answer->results[0], i, 3);
		rows[i].draining = value_bool(answer->results[0], i, 4);
	}
	call->delayed_cb(call->arg, answer->code, rows, count);
	free(rows);
	free(call);
}

void
reclaim_delayed(struct reclaim *reclaim, reclaim_delayed_cb *cb, void *arg)
{
	struct reclaim_call *call = reclaim_call_new(reclaim, NULL, arg);
	struct unit *unit = unit_new();

	call->delayed_cb = cb;
	unit_add(unit, &reclaim_count_delayed);
	unit_bind_int(unit, RECLAIM_DELAYED_MAX);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_delayed, call);
}

static void
reclaim_on_syncs(void *arg, const struct unit_answer *answer)
{
	struct reclaim_call *call = arg;
	struct reclaim_syncs syncs = {0};

	if (answer->code == SL_OK) {
		const PGresult *row = answer->results[0];

		syncs.started = value_int(row, 0, 0);
		syncs.paused = value_int(row, 0, 1);
		syncs.late_ms = value_int(row, 0, 2);
		for (int i = 0; i < 3; i++)
			syncs.trouble[i] = value_int(row, 0, 3 + i);
	}
	call->syncs_cb(call->arg, answer->code, &syncs);
	free(call);
}

void
reclaim_syncs(struct reclaim *reclaim, reclaim_syncs_cb *cb, void *arg)
{
	struct reclaim_call *call = reclaim_call_new(reclaim, NULL, arg);
	struct unit *unit = unit_new();

	call->syncs_cb = cb;
	unit_add(unit, &reclaim_count_syncs);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_syncs, call);
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static void
reclaim_job_read(struct reclaim_job *job, const PGresult *rows, int row)
{
	value_uuid(rows, row, 0, job->id);
	job->seq = value_int(rows, row, 1);
	job->environment_id = value_int(rows, row, 2);
	job->key_id = value_int(rows, row, 3);
	job->function_version_id = value_int(rows, row, 4);
	job->connection_id = value_int(rows, row, 5);
	job->kind = (enum job_kind)value_int(rows, row, 6);
	job->max_retries = (int)value_int(rows, row, 7);
	job->attempt = (int)value_int(rows, row, 8);
	job->webhook = value_bool(rows, row, 9);
	job->accepted_ms = value_int(rows, row, 10);
	job->has_input = value_bool(rows, row, 11);
	job->input = value_bytes(rows, row, 12);
}

static void
reclaim_on_jobs(void *arg, const struct unit_answer *answer)
{
	struct reclaim_call *call = arg;
	struct reclaim_job *jobs;
	int count = answer->code == SL_OK ? PQntuples(answer->results[0]) : 0;

	jobs = sl_calloc((size_t)count + 1, sizeof(*jobs));
	for (int i = 0; i < count; i++)
		reclaim_job_read(&jobs[i], answer->results[0], i);
	call->jobs_cb(call->arg, answer->code, jobs, count);
	free(jobs);
	free(call);
}

void
reclaim_due_retries(struct reclaim *reclaim, int limit, reclaim_jobs_cb *cb, void *arg)
{
	struct reclaim_call *call = reclaim_call_new(reclaim, NULL, arg);
	struct unit *unit = unit_new();

	call->jobs_cb = cb;
	unit_add(unit, &reclaim_take_retries);
	unit_bind_int(unit, ENVELOPE_INPUT_MAX);
	unit_bind_int(unit, limit);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_jobs, call);
}

void
reclaim_open_jobs(struct reclaim *reclaim, int64_t age_ms, const char *after_id, int limit,
		  reclaim_jobs_cb *cb, void *arg)
{
	struct reclaim_call *call = reclaim_call_new(reclaim, NULL, arg);
	struct unit *unit = unit_new();
	bool from_start = after_id == NULL || after_id[0] == '\0';

	call->jobs_cb = cb;
	unit_add(unit, &reclaim_open);
	unit_bind_int(unit, ENVELOPE_INPUT_MAX);
	unit_bind_text(unit, from_start ? "00000000-0000-0000-0000-000000000000" : after_id);
	unit_bind_int(unit, age_ms);
	unit_bind_int(unit, limit);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_jobs, call);
}

static void
reclaim_on_late(void *arg, const struct unit_answer *answer)
{
	const PGresult *ended = answer->code == SL_OK ? answer->results[answer->count - 1] : NULL;
	int count = ended != NULL ? PQntuples(ended) : 0;

	for (int row = 0; row < count; row++)
		metrics_finished((enum job_kind)value_int(ended, row, 0), JOB_EXPIRED, false);
	reclaim_answer(arg, answer->code, count, &answer->error);
}

void
reclaim_expire(struct reclaim *reclaim, const struct reclaim_late *late, int count, bool waiting,
	       reclaim_cb *cb, void *arg)
{
	struct unit *unit = unit_new();
	struct value_array ids, limits;

	value_array_init(&ids, VALUE_UUID);
	value_array_init(&limits, VALUE_INT8);
	for (int i = 0; i < count; i++) {
		value_array_uuid(&ids, late[i].job_id);
		value_array_int(&limits, late[i].limit_ms);
	}
	if (waiting)
		unit_add(unit, &reclaim_stop_begins);
	unit_add(unit, waiting ? &reclaim_end_waiting : &reclaim_end_late);
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &limits);
	unit_bind_text(unit, LEDGER_NOT_STARTED);
	unit_send(unit, reclaim->pg, UNIT_WAIT_MS, reclaim_on_late,
		  reclaim_call_new(reclaim, cb, arg));
}
