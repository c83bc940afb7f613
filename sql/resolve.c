#include "sql/resolve.h"

#include "base/metrics.h"

/* xmin: the row version was written by this transaction, that is, the session was ended by it. */
#define RESOLVE_SESSION " s.live IS FALSE AND s.xmin = pg_current_xact_id()::xid"
#define RESOLVE_ENDED RESOLVE_SESSION " AND a.ended_at IS NULL AND j.id = a.job_id"

/* Runs that were told of before they started (suspect_job() in 0009_dead.sql). */
static const struct unit_statement resolve_suspects = {
    NULL, "UPDATE death d SET open = false, at = now() FROM session s"
	  " WHERE d.session_id = s.id AND d.open AND" RESOLVE_SESSION};

static const struct unit_statement resolve_no_suspects = {
    NULL,
    "DELETE FROM death d USING session s WHERE d.session_id = s.id AND d.open AND" RESOLVE_SESSION};

/* And the begun ones that were not.  2 is SETTLE_WORKER_LOST; session_id 0, a presumed death, is of
 * another session than this. */
static const struct unit_statement resolve_deaths = {
    NULL, "INSERT INTO death (job_id, token, session_id, cause, open)"
	  " SELECT w.job_id, gen_random_uuid(), w.session_id, 2, false FROM"
	  "  (SELECT DISTINCT ON (a.job_id) a.job_id, a.session_id"
	  "   FROM session s JOIN attempt a ON a.session_id = s.id"
	  "   WHERE a.ended_at IS NULL AND" RESOLVE_SESSION
	  "   AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = a.job_id)) w"
	  " WHERE NOT EXISTS (SELECT FROM death d WHERE d.job_id = w.job_id"
	  "  AND d.session_id = w.session_id AND d.cause = 2)"};

/* Before the others, which leave alone what has ended. */
static const struct unit_statement resolve_dead = {
    NULL,
    "SELECT (SELECT j.kind FROM job j WHERE j.id = w.job_id) FROM (SELECT DISTINCT ON (d.job_id) d.job_id, d.session_id,"
    "  (SELECT coalesce(max(a.number), 0)::int FROM attempt a WHERE a.job_id = d.job_id) AS n"
    "  FROM session s JOIN death d ON d.session_id = s.id WHERE d.cause = 2 AND" RESOLVE_SESSION
    ") w"
    " WHERE CASE WHEN death_count(w.job_id) >= $1::bigint"
    "  THEN set_aside(w.job_id, w.n, w.session_id) ELSE false END"};

/* Not prepared: see reclaim.c.  State 5 is JOB_WORKER_LOST. */
static const struct unit_statement resolve_lost = {
    NULL, "WITH lost AS (INSERT INTO result (job_id, attempt, state, session_id, output)"
	  " SELECT a.job_id, a.number, 5, a.session_id, convert_to($1, 'UTF8')"
	  " FROM session s JOIN attempt a ON a.session_id = s.id, job j"
	  " WHERE a.number > j.max_retries AND" RESOLVE_ENDED
	  " ON CONFLICT (job_id) DO NOTHING RETURNING job_id)"
	  " SELECT (SELECT k.kind FROM job k WHERE k.id = job_id), run_ended(job_id, 5, NULL)"
	  " FROM lost"};

static const struct unit_statement resolve_retry = {
    NULL, "WITH lost AS (UPDATE attempt a SET ended_at = now() FROM session s, job j"
	  " WHERE a.session_id = s.id AND a.number <= j.max_retries AND" RESOLVE_ENDED
	  " AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = a.job_id)"
	  " RETURNING a.job_id, a.number)"
	  " INSERT INTO retry (job_id, number, due_at) SELECT job_id, number + 1, now() FROM lost"
	  " ON CONFLICT DO NOTHING RETURNING job_id"};

static const char resolve_output[] =
    "{\"code\":\"action_script_failure\",\"payload\":{\"error\":\"worker_lost: the worker stopped "
    "while the function ran, and no try is left\"}}";

int
resolve_add(struct unit *unit, int deaths_max)
{
	int first;

	if (deaths_max > 0) {
		unit_add(unit, &resolve_suspects);
		unit_add(unit, &resolve_deaths);
		first = unit_add(unit, &resolve_dead);
		unit_bind_int(unit, deaths_max);
	} else {
		first = unit_add(unit, &resolve_no_suspects);
	}
	unit_add(unit, &resolve_lost);
	unit_bind_text(unit, resolve_output);
	unit_add(unit, &resolve_retry);
	return first;
}

/* The ends that a command with a column of kinds has committed. */
static void
count_ended(const PGresult *rows, bool dead)
{
	if (PQnfields(rows) == 0) /* with deaths_max 0 there is no such command */
		return;
	for (int row = 0; row < PQntuples(rows); row++)
		metrics_finished((enum job_kind)value_int(rows, row, 0), JOB_WORKER_LOST, dead);
}

/* Commands without rows count none. */
int64_t
resolve_count(const struct unit_answer *answer, int first)
{
	int64_t count = 0;

	for (int i = first; i < first + 3; i++)
		count += PQntuples(answer->results[i]);
	count_ended(answer->results[first], true);
	count_ended(answer->results[first + 1], false);
	return count;
}
