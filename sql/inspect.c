#include "sql/inspect.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "sql/dead_store.h"

struct inspect_call {
	union { /* the one that the reader of the answer knows */
		inspect_jobs_cb *jobs;
		inspect_job_cb *job;
		inspect_lines_cb *lines;
		inspect_delayed_cb *delayed;
	} cb;
	void *arg;
};

/* Of job j: everything but its result. */
#define INSPECT_COLUMNS                                                                             \
	"SELECT j.id, j.seq, j.environment_id::bigint, j.key_id, coalesce(e.name, ''),"             \
	" coalesce(k.name, ''), coalesce(i.unique_key, ''), coalesce(f.name, ''),"                  \
	" coalesce(v.version, ''), coalesce(c.connection_id, ''), j.kind, j.max_retries, " DEAD_MS( \
	    "j.accepted_at") ", coalesce(a.number, 0)::bigint, coalesce(w.due, 0)::bigint,"         \
			     " coalesce(d.deaths, 0)::bigint, coalesce(l.node, ''), "
#define INSPECT_JOINS                                                                              \
	" LEFT JOIN environment e ON e.id = j.environment_id"                                      \
	" LEFT JOIN concurrency_key k ON k.id = j.key_id"                                          \
	" LEFT JOIN function_version v ON v.id = j.function_version_id"                            \
	" LEFT JOIN function f ON f.id = v.function_id"                                            \
	" LEFT JOIN integration i ON i.id = f.integration_id"                                      \
	" LEFT JOIN connection c ON c.id = j.connection_id"                                        \
	" LEFT JOIN LATERAL (SELECT max(t.number) AS number FROM attempt t WHERE t.job_id = j.id)" \
	"  a ON true"                                                                              \
	" LEFT JOIN LATERAL (SELECT " DEAD_MS(                                                     \
	    "t.due_at") " AS due, t.number FROM retry t WHERE t.job_id = j.id"                     \
			"  ORDER BY t.due_at LIMIT 1) w ON true"                                   \
			" LEFT JOIN LATERAL (SELECT count(*) AS deaths FROM death t"               \
			"  WHERE t.job_id = j.id AND NOT t.open) d ON true"                        \
			" LEFT JOIN LATERAL (SELECT s.node FROM attempt t"                         \
			"  JOIN session s ON s.id = t.session_id WHERE t.job_id = j.id"            \
			"  AND t.ended_at IS NULL AND s.live LIMIT 1) l ON true"
#define INSPECT_OPEN_STATE                                                                      \
	"CASE WHEN w.due IS NOT NULL THEN CASE WHEN w.number = 1 AND coalesce(d.deaths, 0) = 0" \
	"   THEN 'delayed' ELSE 'retrying' END"                                                 \
	"  WHEN l.node IS NOT NULL THEN 'running' ELSE 'queued' END"

/* Planned each time: how much stands before the first open job differs. */
static const struct unit_statement inspect_page = {
    NULL, INSPECT_COLUMNS INSPECT_OPEN_STATE
    " FROM (SELECT o.id, o.seq, o.environment_id, o.key_id, o.kind, o.max_retries, o.accepted_at,"
    "   o.function_version_id, o.connection_id FROM job o WHERE o.environment_id = $1::bigint"
    "   AND ($2::bigint = 0 OR o.key_id = $2::bigint) AND o.id > $3::uuid"
    "   AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = o.id)"
    "   ORDER BY o.id LIMIT $4::bigint) j" INSPECT_JOINS " ORDER BY j.id"};

static const struct unit_statement inspect_one = {
    "inspect_one", INSPECT_COLUMNS
    "CASE WHEN r.job_id IS NULL THEN " INSPECT_OPEN_STATE
    "  WHEN EXISTS (SELECT FROM dead x WHERE x.job_id = j.id) THEN 'dead'"
    "  WHEN r.state = 1 THEN 'succeeded' WHEN r.state = 3 THEN 'cancelled'"
    "  WHEN r.state = 4 THEN 'expired' ELSE 'failed' END,"
    " coalesce(" DEAD_MS("r.ended_at") ", 0), substring(r.output FROM 1 FOR $2::int),"
				       " coalesce(length(r.output), 0) > $2::int"
				       " FROM job j" INSPECT_JOINS
				       " LEFT JOIN result r ON r.job_id = j.id"
				       " WHERE j.id = $1::uuid"};

static const struct unit_statement inspect_attempts = {
    "inspect_attempts",
    "SELECT a.number, " DEAD_MS(
	"a.started_at") ", coalesce(s.node, '') FROM attempt a"
			" LEFT JOIN session s ON s.id = a.session_id WHERE a.job_id = $1::uuid"
			" ORDER BY a.number"};

#define INSPECT_LINE                                                                   \
	"SELECT k.id, k.environment_id::bigint, k.name, k.slots, p.key_id IS NOT NULL" \
	" FROM concurrency_key k LEFT JOIN paused_line p ON p.key_id = k.id"           \
	" WHERE k.environment_id = $1::bigint AND "

static const struct unit_statement inspect_some_lines = {
    "inspect_some_lines",
    INSPECT_LINE "(k.id = ANY ($2::bigint[]) OR k.name = 'actions' OR p.key_id IS NOT NULL)"
		 " ORDER BY k.id"};

static const struct unit_statement inspect_one_line = {"inspect_one_line",
						       INSPECT_LINE "k.name = $2::text"};

static const struct unit_statement inspect_retries = {
    "inspect_retries", "SELECT j.environment_id::bigint, count(*) FROM retry w"
		       " JOIN job j ON j.id = w.job_id"
		       " WHERE $1::bigint = 0 OR j.environment_id = $1::bigint GROUP BY 1"};

static struct inspect_call *
inspect_call_new(void *arg)
{
	struct inspect_call *call = sl_alloc(sizeof(*call));

	call->arg = arg;
	return call;
}

static void
inspect_send(struct dead_store *store, struct unit *unit, unit_cb *answered,
	     struct inspect_call *call)
{
	unit_send(unit, store->pg, UNIT_WAIT_MS, answered, call);
}

static const struct sl_error *
inspect_error(const struct unit_answer *answer)
{
	return answer->code == SL_OK ? NULL : &answer->error;
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static void
inspect_read_job(struct inspect_job *job, const PGresult *rows, int row)
{
	value_uuid(rows, row, 0, job->id);
	job->seq = value_int(rows, row, 1);
	job->environment_id = value_int(rows, row, 2);
	job->key_id = value_int(rows, row, 3);
	job->environment = value_text(rows, row, 4);
	job->line = value_text(rows, row, 5);
	job->integration = value_text(rows, row, 6);
	job->function = value_text(rows, row, 7);
	job->version = value_text(rows, row, 8);
	job->connection = value_text(rows, row, 9);
	job->kind = (enum job_kind)value_int(rows, row, 10);
	job->max_retries = (int)value_int(rows, row, 11);
	job->accepted_ms = value_int(rows, row, 12);
	job->attempt = (int)value_int(rows, row, 13);
	job->due_ms = value_int(rows, row, 14);
	job->deaths = (int)value_int(rows, row, 15);
	job->node = value_text(rows, row, 16);
	job->state = value_text(rows, row, 17);
}

static void
inspect_on_page(void *arg, const struct unit_answer *answer)
{
	struct inspect_call *call = arg;
	int count = answer->code == SL_OK ? PQntuples(answer->results[0]) : 0;
	struct inspect_job *jobs = sl_calloc((size_t)count + 1, sizeof(*jobs));

	for (int i = 0; i < count; i++)
		inspect_read_job(&jobs[i], answer->results[0], i);
	call->cb.jobs(call->arg, answer->code, jobs, count, inspect_error(answer));
	free(jobs);
	free(call);
}

void
inspect_list(struct dead_store *store, int64_t environment_id, int64_t key_id, const char *after,
	     int limit, inspect_jobs_cb *cb, void *arg)
{
	struct inspect_call *call = inspect_call_new(arg);
	struct unit *unit = unit_new();

	assert(limit >= 1 && limit <= INSPECT_JOBS_MAX);
	call->cb.jobs = cb;
	unit_add(unit, &inspect_page);
	unit_bind_int(unit, environment_id);
	unit_bind_int(unit, key_id);
	unit_bind_text(unit, after != NULL ? after : "00000000-0000-0000-0000-000000000000");
	unit_bind_int(unit, limit);
	inspect_send(store, unit, inspect_on_page, call);
}

static void
inspect_on_show(void *arg, const struct unit_answer *answer)
{
	struct inspect_call *call = arg;
	struct inspect_attempt *attempts;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;
	struct inspect_job job = {0};
	int count = 0;

	if (code == SL_OK && PQntuples(answer->results[0]) == 0)
		code = sl_fail(&error, SL_NOT_FOUND, "there is no such job");
	if (code == SL_OK) {
		inspect_read_job(&job, answer->results[0], 0);
		job.ended_ms = value_int(answer->results[0], 0, 18);
		job.output = value_bytes(answer->results[0], 0, 19);
		job.cut = value_bool(answer->results[0], 0, 20);
		count = PQntuples(answer->results[1]);
	}
	attempts = sl_calloc((size_t)count + 1, sizeof(*attempts));
	for (int i = 0; i < count; i++)
		attempts[i] = (struct inspect_attempt){(int)value_int(answer->results[1], i, 0),
						       value_int(answer->results[1], i, 1),
						       value_text(answer->results[1], i, 2)};
	call->cb.job(call->arg, code, code == SL_OK ? &job : NULL, attempts, count,
		     code == SL_OK ? NULL : &error);
	free(attempts);
	free(call);
}

void
inspect_show(struct dead_store *store, const char *job_id, inspect_job_cb *cb, void *arg)
{
	struct inspect_call *call = inspect_call_new(arg);
	struct unit *unit = unit_new();

	call->cb.job = cb;
	unit_add(unit, &inspect_one);
	unit_bind_text(unit, job_id);
	unit_bind_int(unit, INSPECT_OUTPUT_MAX);
	unit_add(unit, &inspect_attempts);
	unit_bind_text(unit, job_id);
	inspect_send(store, unit, inspect_on_show, call);
}

/* ---- lines ---------------------------------------------------------------------------------- */

static void
inspect_on_lines(void *arg, const struct unit_answer *answer)
{
	struct inspect_call *call = arg;
	int count = answer->code == SL_OK ? PQntuples(answer->results[0]) : 0;
	struct inspect_line *lines = sl_calloc((size_t)count + 1, sizeof(*lines));

	for (int i = 0; i < count; i++)
		lines[i] = (struct inspect_line){
		    value_int(answer->results[0], i, 0), value_int(answer->results[0], i, 1),
		    value_text(answer->results[0], i, 2), (int)value_int(answer->results[0], i, 3),
		    value_bool(answer->results[0], i, 4)};
	call->cb.lines(call->arg, answer->code, lines, count, inspect_error(answer));
	free(lines);
	free(call);
}

void
inspect_lines(struct dead_store *store, int64_t environment_id, const int64_t *key_ids, int count,
	      inspect_lines_cb *cb, void *arg)
{
	struct inspect_call *call = inspect_call_new(arg);
	struct unit *unit = unit_new();
	struct value_array ids;

	call->cb.lines = cb;
	value_array_init(&ids, VALUE_INT8);
	for (int i = 0; i < count; i++)
		value_array_int(&ids, key_ids[i]);
	unit_add(unit, &inspect_some_lines);
	unit_bind_int(unit, environment_id);
	unit_bind_array(unit, &ids);
	inspect_send(store, unit, inspect_on_lines, call);
}

void
inspect_line(struct dead_store *store, int64_t environment_id, const char *name,
	     inspect_lines_cb *cb, void *arg)
{
	struct inspect_call *call = inspect_call_new(arg);
	struct unit *unit = unit_new();

	call->cb.lines = cb;
	unit_add(unit, &inspect_one_line);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, name);
	inspect_send(store, unit, inspect_on_lines, call);
}

static void
inspect_on_delayed(void *arg, const struct unit_answer *answer)
{
	struct inspect_call *call = arg;
	int count = answer->code == SL_OK ? PQntuples(answer->results[0]) : 0;
	struct inspect_delayed *rows = sl_calloc((size_t)count + 1, sizeof(*rows));

	for (int i = 0; i < count; i++)
		rows[i] = (struct inspect_delayed){value_int(answer->results[0], i, 0),
						   value_int(answer->results[0], i, 1)};
	call->cb.delayed(call->arg, answer->code, rows, count, inspect_error(answer));
	free(rows);
	free(call);
}

void
inspect_delayed(struct dead_store *store, int64_t environment_id, inspect_delayed_cb *cb, void *arg)
{
	struct inspect_call *call = inspect_call_new(arg);
	struct unit *unit = unit_new();

	call->cb.delayed = cb;
	unit_add(unit, &inspect_retries);
	unit_bind_int(unit, environment_id);
	inspect_send(store, unit, inspect_on_delayed, call);
}
