#include <stdarg.h>

#include "sql/ledger.h"
#include "sql/reclaim.h"
#include "sql/settle.h"
#include "tests/integration/sql_rig.h"

#define DAY_MS (24 * 3600 * INT64_C(1000))

static struct ledger *ledger;
static struct settle *one, *two;
static struct reclaim *reclaim;
static PGconn *other; /* a second connection of the test itself */
static int key = 100; /* a fresh concurrency key for each test */

/* ---- calls that wait for their answer ------------------------------------------------------- */

struct answer {
	int calls;
	enum sl_code code;
	int64_t number;
	bool ended, waiting;
	struct ledger_status status;
	char output[400];
	int count;
	char first[UUID_TEXT];
};

static void
on_done(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct answer *answer = arg;

	(void)error;
	answer->calls++;
	answer->code = code;
}

static void
on_number(void *arg, enum sl_code code, int64_t number, const struct sl_error *error)
{
	struct answer *answer = arg;

	answer->number = number;
	on_done(arg, code, error);
}

static void
on_once(void *arg, enum sl_code code, int64_t seq, const char *existing_id,
	const struct sl_error *error)
{
	struct answer *answer = arg;

	if (existing_id != NULL)
		memcpy(answer->first, existing_id, UUID_TEXT);
	on_number(arg, code, seq, error);
}

static void
on_claim(void *arg, enum sl_code code, int64_t tenure, bool lost,
	 const struct settle_judged *judged, int count, const struct sl_error *error)
{
	struct answer *answer = arg;

	(void)lost;
	answer->ended = count > 0 && judged[0].ended;
	answer->waiting = count > 0 && judged[0].waiting;
	on_number(arg, code, tenure, error);
}

static void
on_status(void *arg, enum sl_code code, const struct ledger_status *status,
	  const struct sl_error *error)
{
	struct answer *answer = arg;

	if (status != NULL) {
		answer->status = *status;
		snprintf(answer->output, sizeof(answer->output), "%.*s", (int)status->output.len,
			 status->output.data);
	}
	on_done(arg, code, error);
}

static void
on_ended(void *arg, enum sl_code code, const char (*job_ids)[UUID_TEXT], int count, int64_t newest)
{
	struct answer *answer = arg;

	answer->count = count;
	if (count > 0)
		memcpy(answer->first, job_ids[0], UUID_TEXT);
	on_number(arg, code, newest, NULL);
}

static void
on_jobs(void *arg, enum sl_code code, const struct reclaim_job *jobs, int count)
{
	struct answer *answer = arg;

	answer->count = count;
	if (count > 0) {
		memcpy(answer->first, jobs[0].id, UUID_TEXT);
		answer->number = jobs[0].attempt;
	}
	on_done(arg, code, NULL);
}

static enum sl_code
wait_for(struct answer *answer)
{
	rig_until(answer->calls > 0);
	check_int(answer->calls, ==, 1);
	return answer->code;
}

static struct ledger_job
new_job(int max_retries)
{
	struct ledger_job job = {.environment_id = 1,
				 .key_id = key,
				 .function_version_id = 2,
				 .connection_id = 3,
				 .kind = JOB_ACTION,
				 .max_retries = max_retries,
				 .input = slice_text("{}")};

	uuid_v7(job.id);
	return job;
}

static struct ledger_job
accept(int max_retries)
{
	struct ledger_job job = new_job(max_retries);
	struct answer answer = {0};

	ledger_accept(ledger, &job, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	return job;
}

static struct ledger_job
accept_delayed(int64_t delay_ms)
{
	struct ledger_job job = new_job(0);
	struct answer answer = {0};

	job.delay_ms = delay_ms;
	ledger_accept_once(ledger, &job, NULL, NULL, on_once, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, >, 0);
	return job;
}

static enum sl_code
cancel(const char *id, int64_t environment_id, enum job_kind kind)
{
	struct answer answer = {0};

	ledger_cancel(ledger, id, environment_id, kind, on_done, &answer);
	return wait_for(&answer);
}

static enum sl_code
claim(struct settle *settle, const char *id, struct answer *answer)
{
	char ids[1][UUID_TEXT];

	memcpy(ids[0], id, UUID_TEXT);
	memset(answer, 0, sizeof(*answer));
	settle_claim(settle, key, 0, -1, -1, (const char(*)[UUID_TEXT])ids, 1, on_claim, answer);
	return wait_for(answer);
}

static enum sl_code
begin(struct settle *settle, const char *id, int number)
{
	struct answer answer = {0};

	settle_begin(settle, id, number, on_done, &answer);
	return wait_for(&answer);
}

static enum sl_code
result(struct settle *settle, const char *id, int attempt, enum job_state state)
{
	struct answer answer = {0};

	settle_result(settle, id, attempt, state, slice_text("1"), NULL, false, on_done, &answer);
	return wait_for(&answer);
}

static struct answer
status_of(const char *id)
{
	struct answer answer = {0};

	ledger_read(ledger, id, 1, on_status, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	return answer;
}

static struct settle *
open_session(const char *name)
{
	struct pg_settings settings = {.conninfo = rig_conninfo, .name = name, .hot = true};
	struct settle *settle = settle_new(rig_loop, &settings);
	struct answer answer = {0};

	settle_open(settle, "node", on_done, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	return settle;
}

SL_PRINTF(2, 3) static long long sql_on(PGconn *connection, const char *format, ...)
{
	PGconn *kept = rig_direct;
	char text[900];
	va_list values;
	long long number;

	va_start(values, format);
	vsnprintf(text, sizeof(text), format, values);
	va_end(values);
	rig_direct = connection;
	number = rig_sql(text);
	rig_direct = kept;
	return number;
}

/* ---- cancel --------------------------------------------------------------------------------- */

static void
an_open_job_is_cancelled_once(void)
{
	struct ledger_job job = accept(0);
	struct answer status;

	check_int(cancel(job.id, 1, JOB_ACTION), ==, SL_OK);
	status = status_of(job.id);
	check_int(status.status.state, ==, JOB_CANCELLED);
	check(strstr(status.output, "\"script_aborted\"") != NULL);
	check_int(cancel(job.id, 1, JOB_ACTION), ==, SL_CONFLICT);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM result WHERE job_id = '%s'", job.id), ==,
		  1);
}

static void
what_is_not_there_for_the_caller_is_not_cancelled(void)
{
	struct ledger_job job = accept(0);
	char id[UUID_TEXT];

	uuid_v7(id);
	check_int(cancel(id, 1, JOB_ACTION), ==, SL_NOT_FOUND);
	check_int(cancel(job.id, 2, JOB_ACTION), ==, SL_NOT_FOUND);
	check_int(cancel(job.id, 1, JOB_SYNC), ==, SL_NOT_FOUND);
	check_int(cancel("no uuid", 1, JOB_ACTION), ==, SL_INVALID);
	check_int(status_of(job.id).status.state, ==, 0);
	check_int(cancel(job.id, 1, (enum job_kind)0), ==, SL_OK);
}

static void
a_job_that_ended_keeps_its_result(void)
{
	struct ledger_job job = accept(0);

	check_int(result(one, job.id, 1, JOB_SUCCEEDED), ==, SL_OK);
	check_int(cancel(job.id, 1, JOB_ACTION), ==, SL_CONFLICT);
	check_int(status_of(job.id).status.state, ==, JOB_SUCCEEDED);
}

static void
a_cancelled_job_cannot_begin_nor_settle_nor_retry(void)
{
	struct ledger_job job = accept(3);
	struct answer answer = {0};

	check_int(begin(one, job.id, 1), ==, SL_OK);
	check_int(cancel(job.id, 1, JOB_ACTION), ==, SL_OK);
	check_int(begin(one, job.id, 2), ==, SL_CONFLICT);
	check_int(result(one, job.id, 1, JOB_SUCCEEDED), ==, SL_CONFLICT);
	settle_retry(one, job.id, 1, 0, false, on_done, &answer);
	check_int(wait_for(&answer), ==, SL_CONFLICT);
	check_int(status_of(job.id).status.state, ==, JOB_CANCELLED);
	check_int(sql_on(rig_direct, "SELECT attempt FROM result WHERE job_id = '%s'", job.id), ==,
		  1);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM retry WHERE job_id = '%s'", job.id), ==,
		  0);
}

static void
a_retry_that_waits_goes_with_the_job(void)
{
	struct ledger_job job = accept(3);
	struct answer answer = {0};

	settle_retry(one, job.id, 1, 3600000, false, on_done, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM retry WHERE job_id = '%s'", job.id), ==,
		  1);
	check_int(cancel(job.id, 1, JOB_ACTION), ==, SL_OK);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM retry WHERE job_id = '%s'", job.id), ==,
		  0);
}

static int notified;
static char notice[120];

static void
on_notify(void *arg, const char *channel, const char *payload)
{
	(void)arg;
	(void)channel;
	if (payload == NULL)
		return;
	notified++;
	snprintf(notice, sizeof(notice), "%s", payload);
}

static void
a_cancel_is_told_once_with_key_seq_and_id(void)
{
	struct pg_settings settings = {.conninfo = rig_conninfo, .name = "sluiced listens"};
	struct pg *pg = pg_new(rig_loop, &settings, NULL, NULL);
	struct ledger_job job = accept(0);
	char expected[120];

	pg_listen(pg, LEDGER_CANCELLED, on_notify, NULL);
	rig_until(pg_is_up(pg));
	rig_turns(100);
	check_int(cancel(job.id, 1, JOB_ACTION), ==, SL_OK);
	check_int(cancel(job.id, 1, JOB_ACTION), ==, SL_CONFLICT);
	rig_until(notified > 0);
	rig_turns(100);
	check_int(notified, ==, 1);
	snprintf(expected, sizeof(expected), "%d %lld %s", key,
		 sql_on(rig_direct, "SELECT seq FROM job WHERE id = '%s'", job.id), job.id);
	check_text(notice, expected);
	pg_free(pg);
}

static void
who_missed_it_can_ask_which_jobs_ended(void)
{
	struct ledger_job jobs[3] = {accept(0), accept(0), accept(0)};
	char ids[3][UUID_TEXT];
	struct answer answer = {0};

	for (int i = 0; i < 3; i++)
		memcpy(ids[i], jobs[i].id, UUID_TEXT);
	check_int(cancel(jobs[1].id, 1, JOB_ACTION), ==, SL_OK);
	ledger_ended(ledger, (const char(*)[UUID_TEXT])ids, 3, on_ended, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.count, ==, 1);
	check_text(answer.first, jobs[1].id);
	check_int(answer.number, ==, sql_on(rig_direct, "SELECT max(seq) FROM job"));
}

/* ---- cancel against begin: two transactions that meet ---------------------------------------- */

static void
a_begin_that_meets_a_cancel_under_way_is_refused(void)
{
	struct ledger_job job = accept(0);
	struct answer answer = {0};

	check_int(claim(one, job.id, &answer), ==, SL_OK);
	memset(&answer, 0, sizeof(answer));
	sql_on(other, "BEGIN");
	check_int(sql_on(other, "SELECT cancel_job('%s', 1, 1, '{}')", job.id), ==, 1);
	settle_begin(one, job.id, 1, on_done, &answer);
	rig_turns(200);
	check_int(answer.calls, ==, 0); /* neither begun nor refused before the cancel is */
	sql_on(other, "COMMIT");
	check_int(wait_for(&answer), ==, SL_CONFLICT);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM attempt WHERE job_id = '%s'", job.id),
		  ==, 0);
}

static void
a_begin_goes_on_when_the_cancel_that_it_met_is_given_up(void)
{
	struct ledger_job job = accept(0);
	struct answer answer = {0};

	check_int(claim(one, job.id, &answer), ==, SL_OK);
	memset(&answer, 0, sizeof(answer));
	sql_on(other, "BEGIN");
	check_int(sql_on(other, "SELECT cancel_job('%s', 1, 1, '{}')", job.id), ==, 1);
	settle_begin(one, job.id, 1, on_done, &answer);
	rig_turns(50);
	sql_on(other, "ROLLBACK");
	check_int(wait_for(&answer), ==, SL_OK);
}

/* A worker's batch as other runs it: the fence, the begin, not yet committed. */
static void
a_cancel_waits_for_a_begin_under_way_and_knows_it_then(void)
{
	struct ledger_job job = accept(0);
	struct answer answer = {0};

	check_int(claim(one, job.id, &answer), ==, SL_OK);
	memset(&answer, 0, sizeof(answer));
	sql_on(other,
	       "BEGIN; SELECT FROM session WHERE id = %lld AND live FOR SHARE;"
	       " INSERT INTO attempt (job_id, number, session_id) VALUES ('%s', 1, %lld)",
	       (long long)settle_session(one), job.id, (long long)settle_session(one));
	ledger_cancel(ledger, job.id, 1, JOB_ACTION, on_done, &answer);
	rig_turns(200);
	check_int(answer.calls, ==, 0);
	sql_on(other, "COMMIT");
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(sql_on(rig_direct, "SELECT attempt FROM result WHERE job_id = '%s'", job.id), ==,
		  1);
}

static void
a_key_that_nobody_holds_cannot_be_claimed_into_a_cancel_under_way(void)
{
	struct ledger_job job = accept(0);
	struct answer answer = {0};
	char ids[1][UUID_TEXT];

	memcpy(ids[0], job.id, UUID_TEXT);
	sql_on(other, "BEGIN");
	check_int(sql_on(other, "SELECT cancel_job('%s', 1, 1, '{}')", job.id), ==, 1);
	settle_claim(one, key, 0, -1, -1, (const char(*)[UUID_TEXT])ids, 1, on_claim, &answer);
	rig_turns(200);
	check_int(answer.calls, ==, 0);
	sql_on(other, "COMMIT");
	check_int(wait_for(&answer), ==, SL_CONFLICT); /* handed back, and asked for again */
	check_int(claim(one, job.id, &answer), ==, SL_OK);
	check(answer.ended);
}

static void
a_cancel_follows_a_key_that_changes_hands_while_it_waits(void)
{
	PGconn *third = PQconnectdb(rig_conninfo);
	struct ledger_job job = accept(0);
	struct answer answer = {0};

	check_int(claim(one, job.id, &answer), ==, SL_OK);
	memset(&answer, 0, sizeof(answer));
	sql_on(other, "BEGIN; SELECT FROM session WHERE id = %lld FOR SHARE",
	       (long long)settle_session(one));
	sql_on(third, "BEGIN; SELECT FROM session WHERE id = %lld FOR SHARE",
	       (long long)settle_session(two));
	ledger_cancel(ledger, job.id, 1, JOB_ACTION, on_done, &answer);
	rig_turns(100);
	sql_on(other, "UPDATE hold SET session_id = %lld, tenure = tenure + 1 WHERE key_id = %d",
	       (long long)settle_session(two), key);
	sql_on(other, "COMMIT");
	rig_turns(200);
	check_int(answer.calls, ==, 0); /* the new holder's batch is under way */
	sql_on(third, "COMMIT");
	check_int(wait_for(&answer), ==, SL_OK);
	PQfinish(third);
}

/* A slot that no hold row is there for yet, so that the cancel cannot have it locked. */
static void
a_new_slot_of_the_key_waits_for_a_cancel_under_way(void)
{
	struct ledger_job job;
	struct answer answer = {0};
	char ids[1][UUID_TEXT];

	sql_on(rig_direct, "INSERT INTO environment (name, uuid, is_production, signing_key,"
			   " callback_url) VALUES ('e', 'e', false, '', '')");
	key = (int)sql_on(rig_direct, "INSERT INTO concurrency_key (environment_id, name, slots)"
				      " SELECT id, 'k', 2 FROM environment RETURNING id");
	job = accept(0);
	check_int(claim(one, job.id, &answer), ==, SL_OK); /* slot 0 */
	memcpy(ids[0], job.id, UUID_TEXT);
	memset(&answer, 0, sizeof(answer));
	sql_on(other, "BEGIN");
	check_int(sql_on(other, "SELECT cancel_job('%s', 1, 1, '{}')", job.id), ==, 1);
	settle_claim(two, key, 1, -1, -1, (const char(*)[UUID_TEXT])ids, 1, on_claim, &answer);
	rig_turns(200);
	check_int(answer.calls, ==, 0);
	sql_on(other, "COMMIT");
	check_int(wait_for(&answer), ==, SL_OK);
	check(answer.ended);
}

static void
on_death(void *arg, enum sl_code code, bool ended, bool dead, const struct sl_error *error)
{
	struct answer *answer = arg;

	(void)dead;
	answer->ended = ended;
	on_done(arg, code, error);
}

static void
a_death_that_meets_a_cancel_under_way_is_refused(void)
{
	static const struct settle_death death = {9, 0, NULL};
	struct ledger_job job = accept(0);
	struct answer answer = {0}, suspected = {0};

	check_int(claim(one, job.id, &answer), ==, SL_OK);
	memset(&answer, 0, sizeof(answer));
	sql_on(other, "BEGIN");
	check_int(sql_on(other, "SELECT cancel_job('%s', 1, 1, '{}')", job.id), ==, 1);
	settle_death(one, job.id, 1, false, &death, 1, 0, slice_text("{}"), on_death, &answer);
	settle_suspect(one, job.id, 3, on_done, &suspected);
	rig_turns(200);
	check_int(answer.calls + suspected.calls, ==, 0);
	sql_on(other, "COMMIT");
	check_int(wait_for(&answer), ==, SL_CONFLICT);
	check_int(wait_for(&suspected), ==, SL_CONFLICT);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM death WHERE job_id = '%s'", job.id), ==,
		  0);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM dead WHERE job_id = '%s'", job.id), ==,
		  0);
	check_int(status_of(job.id).status.state, ==, JOB_CANCELLED);
}

static void
a_cancel_ends_a_job_whose_runner_died_and_takes_its_try(void)
{
	static const struct settle_death death = {9, 0, NULL};
	struct ledger_job job = accept(3);
	struct answer answer = {0};

	check_int(claim(one, job.id, &answer), ==, SL_OK);
	memset(&answer, 0, sizeof(answer));
	settle_death(one, job.id, 1, false, &death, 3, 60000, slice_text("{}"), on_death, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check(!answer.ended);
	check_int(cancel(job.id, 1, JOB_ACTION), ==, SL_OK);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM retry WHERE job_id = '%s'", job.id), ==,
		  0);
	memset(&answer, 0, sizeof(answer));
	settle_suspect(one, job.id, 3, on_done, &answer);
	check_int(wait_for(&answer), ==, SL_CONFLICT);
}

/* The end of a session that ran it, and a cancel: whichever is first stays. */
static void
a_cancel_that_meets_the_end_of_the_session_ends_the_job_once(void)
{
	struct settle *brief = open_session("sluiced worker brief");
	struct ledger_job job = accept(0);
	struct answer answer = {0};

	check_int(claim(brief, job.id, &answer), ==, SL_OK);
	check_int(begin(brief, job.id, 1), ==, SL_OK);
	memset(&answer, 0, sizeof(answer));
	sql_on(other, "BEGIN");
	check_int(sql_on(other, "SELECT cancel_job('%s', 1, 1, '{}')", job.id), ==, 1);
	reclaim_end_session(reclaim, settle_session(brief), 0, 1, on_number, &answer);
	rig_turns(200);
	check_int(answer.calls, ==, 0);
	sql_on(other, "COMMIT");
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, 0);
	check_int(status_of(job.id).status.state, ==, JOB_CANCELLED);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM dead WHERE job_id = '%s'", job.id), ==,
		  0);
	settle_free(brief);
}

/* ---- delay ---------------------------------------------------------------------------------- */

static void
a_delayed_job_waits_in_the_ledger_until_it_is_due(void)
{
	struct ledger_job job = accept_delayed(600);
	struct answer answer = {0}, judged;
	struct answer status = status_of(job.id);

	check_int(status.status.state, ==, 0);
	check_int(status.status.attempt, ==, 0);
	check_int(status.status.retry_due_ms, >, clock_wall_ms());
	reclaim_due_retries(reclaim, 10, on_jobs, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.count, ==, 0);
	memset(&answer, 0, sizeof(answer));
	reclaim_open_jobs(reclaim, 0, NULL, 500, on_jobs, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(claim(one, job.id, &judged), ==, SL_OK);
	check(judged.waiting);
	rig_turns(700);
	memset(&answer, 0, sizeof(answer));
	reclaim_due_retries(reclaim, 10, on_jobs, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.count, ==, 1);
	check_text(answer.first, job.id);
	check_int(answer.number, ==, 1); /* its first try */
	check_int(begin(one, job.id, 1), ==, SL_OK);
	check_int(result(one, job.id, 1, JOB_SUCCEEDED), ==, SL_OK);
}

static void
a_repeated_accept_of_a_delayed_job_does_not_delay_it_again(void)
{
	struct ledger_job job = accept_delayed(3600000);
	struct answer answer = {0};

	check_int(sql_on(rig_direct, "SELECT count(*) FROM retry WHERE job_id = '%s'", job.id), ==,
		  1);
	sql_on(rig_direct, "DELETE FROM retry WHERE job_id = '%s'", job.id); /* it was taken */
	ledger_accept_once(ledger, &job, NULL, NULL, on_once, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, >, 0);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM retry WHERE job_id = '%s'", job.id), ==,
		  0);
	check_int(cancel(job.id, 1, JOB_ACTION), ==, SL_OK);
}

static void
a_key_and_a_delay_commit_together(void)
{
	struct ledger_job job = new_job(0), again = new_job(0);
	struct answer answer = {0};
	char digest[SECRET_SHA256_HEX], text[40];

	job.delay_ms = again.delay_ms = 3600000;
	secret_sha256_hex(slice_text("request"), digest);
	snprintf(text, sizeof(text), "key-%d", key);
	ledger_accept_once(ledger, &job, text, digest, on_once, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_text(answer.first, "");
	memset(&answer, 0, sizeof(answer));
	ledger_accept_once(ledger, &again, text, digest, on_once, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_text(answer.first, job.id);
	check_int(sql_on(rig_direct,
			 "SELECT count(*) FROM retry w JOIN job j ON j.id = w.job_id"
			 " WHERE j.key_id = %d AND w.due_at = j.accepted_at",
			 key),
		  ==, 1);
	check_int(cancel(job.id, 1, JOB_ACTION), ==, SL_OK);
}

static void
a_delay_out_of_range_or_in_a_batch_is_refused(void)
{
	struct ledger_job job = new_job(0);
	struct answer answer = {0};

	job.delay_ms = LEDGER_DELAY_MAX_MS + 1;
	ledger_accept_once(ledger, &job, NULL, NULL, on_once, &answer);
	check_int(wait_for(&answer), ==, SL_INVALID);
	memset(&answer, 0, sizeof(answer));
	job.delay_ms = 1000;
	ledger_accept(ledger, &job, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_INVALID);
}

/* ---- start limits --------------------------------------------------------------------------- */

static void
ask_expire(const char *id, int64_t limit_ms, bool waiting, struct answer *answer)
{
	struct reclaim_late late = {.limit_ms = limit_ms};

	memset(answer, 0, sizeof(*answer));
	memcpy(late.job_id, id, UUID_TEXT);
	reclaim_expire(reclaim, &late, 1, waiting, on_number, answer);
}

static long long
expire(const char *id, int64_t limit_ms)
{
	struct answer answer;

	ask_expire(id, limit_ms, false, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	return answer.number;
}

static void
age(const char *id, int seconds)
{
	sql_on(rig_direct,
	       "UPDATE job SET accepted_at = accepted_at - interval '%d s' WHERE id = '%s'",
	       seconds, id);
}

static void
a_job_that_nobody_takes_expires_once(void)
{
	struct ledger_job job = accept(2);
	struct answer status;

	check_int(expire(job.id, 60000), ==, 0);
	age(job.id, 62); /* within the grace for clocks that differ */
	check_int(expire(job.id, 60000), ==, 0);
	age(job.id, 4);
	check_int(expire(job.id, 60000), ==, 1);
	check_int(expire(job.id, 60000), ==, 0);
	status = status_of(job.id);
	check_int(status.status.state, ==, JOB_EXPIRED);
	check(strstr(status.output, "not_started") != NULL);
	check_int(begin(one, job.id, 1), ==, SL_CONFLICT);
	check_int(result(one, job.id, 0, JOB_EXPIRED), ==, SL_CONFLICT);
}

static void
what_may_run_or_was_started_or_waits_does_not_expire(void)
{
	struct ledger_job begun = accept(2), held, delayed = accept_delayed(3600000);
	struct answer answer = {0};

	check_int(begin(one, begun.id, 1), ==, SL_OK);
	age(begun.id, 1000);
	check_int(expire(begun.id, 60000), ==, 0);
	age(delayed.id, 1000 + 3600);
	check_int(expire(delayed.id, 60000), ==, 0);
	key++;
	held = accept(0);
	check_int(claim(two, held.id, &answer), ==, SL_OK);
	age(held.id, 1000);
	check_int(expire(held.id, 60000), ==, 0);
	check_int(result(two, held.id, 0, JOB_EXPIRED), ==, SL_OK); /* by the worker */
	check_int(expire(held.id, 60000), ==, 0);
}

/* A key with many slots is always held by somebody: Redis knows which of its jobs nobody has. */
static void
one_that_waits_expires_although_its_key_is_held(void)
{
	struct ledger_job running, waiting, begun;
	struct answer answer = {0};

	key++;
	running = accept(0);
	waiting = accept(0);
	begun = accept(0);
	check_int(claim(two, running.id, &answer), ==, SL_OK);
	check_int(begin(two, begun.id, 1), ==, SL_OK);
	age(waiting.id, 1000);
	age(begun.id, 1000);
	check_int(expire(waiting.id, 60000), ==, 0);
	ask_expire(begun.id, 60000, true, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, 0);
	ask_expire(waiting.id, 60000, true, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, 1);
	check_int(begin(two, waiting.id, 1), ==, SL_CONFLICT);
	check_int(result(two, running.id, 0, JOB_SUCCEEDED), ==, SL_OK);
	check_int(result(two, begun.id, 1, JOB_SUCCEEDED), ==, SL_OK);
}

/* A worker has just taken it: its begin is not committed yet. */
static void
one_that_is_begun_at_that_moment_does_not_expire(void)
{
	struct ledger_job job;
	struct answer answer;

	key++;
	job = accept(0);
	age(job.id, 1000);
	sql_on(rig_direct, "BEGIN");
	sql_on(rig_direct, "SELECT id FROM session WHERE id = %lld FOR SHARE",
	       (long long)settle_session(two));
	sql_on(rig_direct,
	       "INSERT INTO attempt (job_id, number, session_id) VALUES ('%s', 1, %lld)", job.id,
	       (long long)settle_session(two));
	ask_expire(job.id, 60000, true, &answer);
	rig_turns(200);
	check_int(answer.calls, ==, 0);
	sql_on(rig_direct, "COMMIT");
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, 0);
	check_int(result(two, job.id, 1, JOB_SUCCEEDED), ==, SL_OK);
}

/* ---- retention ------------------------------------------------------------------------------ */

/* A job of a day that is gone; ended: how many days ago, -1: open. */
static void
old_job(int days, int ended)
{
	char id[UUID_TEXT];

	uuid_v7(id);
	sql_on(
	    rig_direct,
	    "INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind,"
	    " max_retries, webhook) SELECT (left(uuid_day(current_date - %d)::text, 19) ||"
	    " right('%s', 17))::uuid, 1, 77, 2, 3, 1, 0, false",
	    days, id);
	if (ended >= 0)
		sql_on(rig_direct,
		       "INSERT INTO result (job_id, attempt, state, session_id, ended_at)"
		       " SELECT id, 1, 1, 0, now() - interval '%d days' FROM job"
		       " WHERE right(id::text, 17) = right('%s', 17)",
		       ended, id);
	sql_on(rig_direct,
	       "INSERT INTO attempt (job_id, number, session_id) SELECT id, 1, 0 FROM job"
	       " WHERE right(id::text, 17) = right('%s', 17)",
	       id);
}

static long long
drop_all(void)
{
	struct answer answer = {0};
	long long total = 0;

	do {
		memset(&answer, 0, sizeof(answer));
		reclaim_drop_old(reclaim, 7 * DAY_MS, on_number, &answer);
		check_int(wait_for(&answer), ==, SL_OK);
		total += answer.number;
	} while (answer.number > 0 && total < 1000);
	return total;
}

static void
days_past_retention_go_but_for_those_with_an_open_or_fresh_job(void)
{
	check_int(sql_on(rig_direct, "SELECT add_partitions(-12, -6)"), >, 0);
	old_job(12, 12); /* goes */
	old_job(11, -1); /* an open job keeps its day, with what else is in it */
	old_job(11, 11);
	old_job(10, 1); /* it ended yesterday: its result may still be asked for */
	old_job(8, 8);  /* goes */
	old_job(6, 6);  /* younger than retention */
	check_int(drop_all(), ==, 4 * 3); /* four tables each of the days 12, 9 and 8 */
	check_int(sql_on(rig_direct, "SELECT count(*) FROM job WHERE key_id = 77"), ==, 4);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM attempt WHERE session_id = 0"), ==, 4);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND"
				     " relname ~ '^(job|attempt|result|retry)_[0-9]{8}$' AND"
				     " to_date(right(relname, 8), 'YYYYMMDD') < current_date - 7"),
		  ==, 8);
	/* The open one ends; then time passes for both. */
	sql_on(rig_direct,
	       "INSERT INTO result (job_id, attempt, state, session_id) SELECT id, 1, 1, 0"
	       " FROM job j WHERE key_id = 77 AND NOT EXISTS"
	       " (SELECT FROM result r WHERE r.job_id = j.id)");
	check_int(drop_all(), ==, 0);
	sql_on(rig_direct,
	       "UPDATE result SET ended_at = now() - interval '8 days' WHERE session_id = 0"
	       " AND job_id < uuid_day(current_date - 7)");
	check_int(drop_all(), ==, 8);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM job WHERE key_id = 77"), ==, 1);
}

static void
tables_that_lost_their_jobs_are_dropped_by_the_next_pass(void)
{
	sql_on(rig_direct, "SELECT add_partitions(-9, -9)");
	old_job(9, 9);
	sql_on(rig_direct, "DO $$ BEGIN EXECUTE 'DROP TABLE job_' ||"
			   " to_char(current_date - 9, 'YYYYMMDD'); END $$");
	check_int(drop_all(), ==, 3);
}

static void
a_table_in_use_is_left_for_later(void)
{
	struct answer answer = {0};

	sql_on(rig_direct, "SELECT add_partitions(-9, -9)");
	sql_on(other, "BEGIN; LOCK TABLE job IN ACCESS SHARE MODE");
	reclaim_drop_old(reclaim, 7 * DAY_MS, on_number, &answer);
	check(wait_for(&answer) != SL_OK);
	sql_on(other, "COMMIT");
	check_int(drop_all(), ==, 4);
}

static void
old_rows_outside_of_every_day_go_too(void)
{
	struct answer answer = {0};
	long long before = sql_on(rig_direct, "SELECT count(*) FROM job_default");

	old_job(30, 30);
	old_job(30, -1);
	old_job(30, 2);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM job_default"), ==, before + 3);
	reclaim_delete_old(reclaim, 7 * DAY_MS, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, 1);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM job_default"), ==, before + 2);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM attempt_default"), ==, 2);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM result_default"), ==, 1);
}

static long long
old_session(bool live)
{
	return sql_on(rig_direct,
		      "INSERT INTO session (node, live, started_at)"
		      " VALUES ('old', %s, now() - interval '8 days') RETURNING id",
		      live ? "true" : "false");
}

static void
dead_sessions_go_but_for_those_that_a_hold_or_an_open_attempt_names(void)
{
	long long idle = old_session(false), holds = old_session(false), began = old_session(false),
		  ended = old_session(false), live = old_session(true);
	struct ledger_job open = accept(0), done = accept(0);
	struct answer answer = {0};

	sql_on(rig_direct, "INSERT INTO hold VALUES (9001, 0, 1, %lld)", holds);
	sql_on(rig_direct,
	       "INSERT INTO attempt (job_id, number, session_id) VALUES ('%s', 1, %lld),"
	       " ('%s', 1, %lld)",
	       open.id, began, done.id, ended);
	check_int(result(one, done.id, 1, JOB_SUCCEEDED), ==, SL_OK);
	reclaim_delete_old(reclaim, 7 * DAY_MS, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM session WHERE id IN (%lld, %lld)", idle,
			 ended),
		  ==, 0);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM session WHERE id IN (%lld, %lld, %lld)",
			 holds, began, live),
		  ==, 3);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM session WHERE id IN (%lld, %lld)",
			 (long long)settle_session(one), (long long)settle_session(two)),
		  ==, 2);
}

static void
idempotency_keys_go_when_they_have_expired(void)
{
	struct answer answer = {0};

	sql_on(
	    rig_direct,
	    "INSERT INTO idempotency VALUES (9, 'old', gen_random_uuid(), '', now() - interval '1 s'),"
	    " (9, 'new', gen_random_uuid(), '', now() + interval '1 h')");
	reclaim_partitions(reclaim, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(
	    sql_on(rig_direct,
		   "SELECT count(*) FROM idempotency WHERE environment_id = 9 AND key = 'new'"),
	    ==, 1);
	check_int(sql_on(rig_direct, "SELECT count(*) FROM idempotency WHERE environment_id = 9"),
		  ==, 1);
}

#define RUN(test)                \
	do {                     \
		key++;           \
		CHECK_RUN(test); \
	} while (0)

int
main(void)
{
	struct pg_settings accepts = {.name = "sluiced accept", .hot = true},
			   asks = {.name = "sluiced scheduler"};

	rig_start();
	rig_migrate();
	accepts.conninfo = asks.conninfo = rig_conninfo;
	other = PQconnectdb(rig_conninfo);
	sql_on(other, "SET client_min_messages = warning; SET timezone = 'UTC'");
	rig_sql("SET timezone = 'UTC'");
	ledger = ledger_new(rig_loop, &accepts);
	reclaim = reclaim_new(rig_loop, &asks);
	one = open_session("sluiced worker one");
	two = open_session("sluiced worker two");
	RUN(an_open_job_is_cancelled_once);
	RUN(what_is_not_there_for_the_caller_is_not_cancelled);
	RUN(a_job_that_ended_keeps_its_result);
	RUN(a_cancelled_job_cannot_begin_nor_settle_nor_retry);
	RUN(a_retry_that_waits_goes_with_the_job);
	RUN(a_cancel_is_told_once_with_key_seq_and_id);
	RUN(who_missed_it_can_ask_which_jobs_ended);
	RUN(a_begin_that_meets_a_cancel_under_way_is_refused);
	RUN(a_begin_goes_on_when_the_cancel_that_it_met_is_given_up);
	RUN(a_cancel_waits_for_a_begin_under_way_and_knows_it_then);
	RUN(a_key_that_nobody_holds_cannot_be_claimed_into_a_cancel_under_way);
	RUN(a_cancel_follows_a_key_that_changes_hands_while_it_waits);
	RUN(a_new_slot_of_the_key_waits_for_a_cancel_under_way);
	key = 5000;
	RUN(a_death_that_meets_a_cancel_under_way_is_refused);
	RUN(a_cancel_ends_a_job_whose_runner_died_and_takes_its_try);
	RUN(a_cancel_that_meets_the_end_of_the_session_ends_the_job_once);
	RUN(a_delayed_job_waits_in_the_ledger_until_it_is_due);
	RUN(a_repeated_accept_of_a_delayed_job_does_not_delay_it_again);
	RUN(a_key_and_a_delay_commit_together);
	RUN(a_delay_out_of_range_or_in_a_batch_is_refused);
	RUN(a_job_that_nobody_takes_expires_once);
	RUN(what_may_run_or_was_started_or_waits_does_not_expire);
	RUN(one_that_waits_expires_although_its_key_is_held);
	RUN(one_that_is_begun_at_that_moment_does_not_expire);
	RUN(days_past_retention_go_but_for_those_with_an_open_or_fresh_job);
	RUN(tables_that_lost_their_jobs_are_dropped_by_the_next_pass);
	RUN(a_table_in_use_is_left_for_later);
	RUN(old_rows_outside_of_every_day_go_too);
	RUN(dead_sessions_go_but_for_those_that_a_hold_or_an_open_attempt_names);
	RUN(idempotency_keys_go_when_they_have_expired);
	settle_free(one);
	settle_free(two);
	reclaim_free(reclaim);
	ledger_free(ledger);
	PQfinish(other);
	rig_stop();
	return check_done();
}
