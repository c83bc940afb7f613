#include "sql/resolve.h"

/* xmin: the row version was written by this transaction, that is, the session was ended by it. */
#define RESOLVE_ENDED                                                                    \
	" s.live IS FALSE AND s.xmin = pg_current_xact_id()::xid AND a.ended_at IS NULL" \
	" AND j.id = a.job_id"

/* Not prepared: see reclaim.c.  State 5 is JOB_WORKER_LOST. */
static const struct unit_statement resolve_lost = {
    NULL, "INSERT INTO result (job_id, attempt, state, session_id, output)"
	  " SELECT a.job_id, a.number, 5, a.session_id, convert_to($1, 'UTF8')"
	  " FROM session s JOIN attempt a ON a.session_id = s.id, job j"
	  " WHERE a.number > j.max_retries AND" RESOLVE_ENDED
	  " ON CONFLICT (job_id) DO NOTHING RETURNING job_id"};

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
resolve_add(struct unit *unit)
{
	int first = unit_add(unit, &resolve_lost);

	unit_bind_text(unit, resolve_output);
	unit_add(unit, &resolve_retry);
	return first;
}

int64_t
resolve_count(const struct unit_answer *answer, int first)
{
	return PQntuples(answer->results[first]) + PQntuples(answer->results[first + 1]);
}
