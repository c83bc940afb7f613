#include <stdarg.h>

#include "base/secret.h"
#include "sql/outbox.h"
#include "sql/reclaim.h"
#include "sql/settle.h"
#include "tests/integration/sync_rig.h"

#define DAY_MS (24 * 3600 * INT64_C(1000))

static struct settle *worker;
static struct reclaim *reclaim;
static struct account *account;
static struct sync_row row;
static char job[UUID_TEXT], next[UUID_TEXT];
static int64_t number;

static long long sql(const char *format, ...) __attribute__((format(printf, 1, 2)));

static long long
sql(const char *format, ...)
{
	char text[1000];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return rig_sql(text);
}

static void
on_row(void *arg, enum sl_code code, const struct sync_row *rows, int count,
       const struct sl_error *error)
{
	(void)arg;
	if (count > 0)
		row = rows[0];
	rig_answered(code, error);
}

static void
on_number(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)arg;
	number = value;
	rig_answered(code, error);
}

static void
on_death(void *arg, enum sl_code code, bool ended, bool dead, const struct sl_error *error)
{
	(void)arg;
	(void)dead;
	number = ended;
	rig_answered(code, error);
}

static void
read_row(void)
{
	CALL(SL_OK, sync_ensure(rig_store, rig_function, rig_connection, "base", on_row, NULL));
}

/* A sync whose newest run is in the ledger, of this kind, and begun. */
static void
fresh(int kind)
{
	rig_sql("DELETE FROM sync; DELETE FROM outbox; DELETE FROM job; DELETE FROM result;"
		" DELETE FROM attempt; DELETE FROM retry; DELETE FROM death; DELETE FROM dead;"
		" UPDATE environment SET draining_at = NULL; UPDATE function SET enabled = true");
	CALL(SL_OK, settle_open(worker, "node", rig_on_done, NULL));
	read_row();
	uuid_v7(job);
	uuid_v7(next);
	sql("INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind,"
	    " max_retries, webhook, input) SELECT '%s', 1, 7, v.id, %lld, %d, 0, false,"
	    " convert_to('{\"sync\":%lld,\"payload\":\"\\u0000\"}', 'UTF8') FROM function_version v"
	    " WHERE v.function_id = %lld",
	    job, (long long)rig_connection, kind, (long long)row.id, (long long)rig_function);
	if (kind == JOB_SYNC)
		CALL(SL_OK, rig_accept(rig_store, row.id, job, false, rig_on_accepted));
}

static void
begin(void)
{
	CALL(SL_OK, settle_begin(worker, job, 1, rig_on_done, NULL));
}

static struct settle_event event = {
    .environment_id = 1, .connection_id = 1, .type = SETTLE_EVENT_SYNC, .body = {"{\"a\":1}", 7}};
static struct settle_run run;

static void
settle(enum job_state state, enum sl_code expected)
{
	CALL(expected, settle_result(worker, job, 1, state, slice_text("{}"), &run, false,
				     rig_on_done, NULL));
}

static void
run_of(enum sync_trouble trouble, int still_runs, const char *again)
{
	run = (struct settle_run){.sync_id = row.id,
				  .began_ms = 5,
				  .result = "{}",
				  .trouble = trouble,
				  .still_runs = still_runs,
				  .again = again,
				  .events = &event,
				  .event_count = 1};
}

static long long
told(const char *part)
{
	return sql("SELECT count(*) FROM outbox WHERE job_id = '%s' AND body LIKE '%%%s%%'", job,
		   part);
}

/* ---- the next run --------------------------------------------------------------------------- */

static void
an_interrupted_run_and_the_next_one_are_one_transaction(void)
{
	fresh(JOB_SYNC);
	run_of(SYNC_INTERRUPTED, 1, next);
	settle(JOB_SUCCEEDED, SL_OK);
	read_row();
	check_int(row.trouble, ==, SYNC_INTERRUPTED);
	check_int(row.still_runs, ==, 1);
	check_int(row.trouble_since_ms, >, clock_wall_ms() - 60000);
	check(row.running);
	check_text(row.job_id, next);
	check_int(sql("SELECT count(*) FROM job j JOIN retry w ON w.job_id = j.id AND w.number = 1"
		      " AND w.due_at <= now() JOIN result r ON r.xmin = j.xmin AND r.xmin = w.xmin"
		      " JOIN sync s ON s.xmin = r.xmin AND s.job_id = j.id"
		      " JOIN outbox o ON o.xmin = r.xmin AND o.job_id = r.job_id"
		      " WHERE j.id = '%s' AND j.kind = 2 AND j.key_id = 7 AND convert_from(j.input,"
		      " 'UTF8') = format('{\"sync\":%%s,\"emptyCache\":false}', s.id)",
		      next),
		  ==, 1);
	settle(JOB_SUCCEEDED, SL_CONFLICT);
	check_int(sql("SELECT count(*) FROM outbox"), ==, 1);
}

static void
a_run_that_is_not_the_newest_or_cannot_go_on_leaves_none(void)
{
	for (int i = 0; i < 3; i++) {
		fresh(JOB_SYNC);
		if (i == 0)
			sql("UPDATE sync SET job_id = gen_random_uuid()");
		else if (i == 1)
			sql("UPDATE function SET enabled = false");
		else
			sql("UPDATE sync SET removed_at = now()");
		run_of(SYNC_INTERRUPTED, 0, next);
		settle(JOB_SUCCEEDED, SL_OK);
		check_int(sql("SELECT count(*) FROM job"), ==, 1);
		check_int(sql("SELECT count(*) FROM sync WHERE last_state = 1"), ==, i > 0);
	}
}

static void
while_the_environment_drains_the_schedule_is_due_instead(void)
{
	fresh(JOB_SYNC);
	sql("INSERT INTO schedule (sync_id, started, every_ms, next_run_at) VALUES (%lld, true,"
	    " 60000, now() + interval '1 day') ON CONFLICT (sync_id) DO UPDATE SET started = true,"
	    " every_ms = 60000, next_run_at = excluded.next_run_at",
	    (long long)row.id);
	sql("UPDATE environment SET draining_at = now()");
	run_of(SYNC_INTERRUPTED, 0, next);
	settle(JOB_SUCCEEDED, SL_OK);
	check_int(sql("SELECT count(*) FROM job"), ==, 1);
	check_int(sql("SELECT count(*) FROM schedule WHERE next_run_at <= now()"), ==, 1);
}

static void
trouble_has_a_time_and_goes_with_a_good_run(void)
{
	fresh(JOB_SYNC);
	run_of(SYNC_STALLED, 3, NULL);
	settle(JOB_FAILED, SL_OK);
	sql("UPDATE sync SET trouble_at = 'epoch', job_id = NULL");
	uuid_v7(job);
	settle(JOB_FAILED, SL_OK);
	read_row();
	check_int(row.trouble, ==, SYNC_STALLED);
	check_int(sql("SELECT count(*) FROM sync WHERE trouble_at = 'epoch'"), ==, 1); /* since */
	uuid_v7(job);
	run_of(SYNC_NO_TROUBLE, 0, NULL);
	settle(JOB_SUCCEEDED, SL_OK);
	read_row();
	check_int(row.trouble, ==, SYNC_NO_TROUBLE);
	check_int(row.trouble_since_ms, ==, 0);
	check_int(row.still_runs, ==, 0);
}

static void
a_run_that_the_ledger_cannot_take_is_refused(void)
{
	fresh(JOB_SYNC);
	run_of(SYNC_NO_TROUBLE, 0, "no uuid");
	settle(JOB_SUCCEEDED, SL_INVALID);
	run_of(SYNC_NO_TROUBLE, 0, NULL);
	event.body = slice_text("no JSON");
	settle(JOB_SUCCEEDED, SL_INVALID);
	event.body = slice_text("{\"a\":1}");
	check_int(sql("SELECT count(*) FROM outbox"), ==, 0);
}

/* ---- ended by others ------------------------------------------------------------------------ */

static void
a_cancelled_run_is_told_once_and_by_whoever_ended_it_first(void)
{
	fresh(JOB_SYNC);
	begin();
	check_int(
	    sql("SELECT cancel_job('%s', 1, 2, '{\"message\":\"Out of \\\\ \\\"it\\\"\"}')", job),
	    ==, 1);
	check_int(sql("SELECT cancel_job('%s', 1, 2, '{}')", job), ==, 3);
	run_of(SYNC_STALLED, 4, NULL);
	settle(JOB_FAILED, SL_CONFLICT);
	check_int(sql("SELECT count(*) FROM outbox"), ==, 1);
	check_int(told("\"success\":false"), ==, 1);
	check_int(told("\"startedAt\":\"20__-__-__T__:__:__.___Z\""), ==, 1);
	check_int(sql("SELECT count(*) FROM outbox WHERE (body::json ->> 'model') = ''"
		      " AND substr(id::text, 15, 1) = '7'"),
		  ==, 1);
	read_row();
	check_int(row.trouble, ==, SYNC_NO_TROUBLE);
	check_int(row.last_state, ==, JOB_CANCELLED);
}

static void
an_expired_webhook_is_told_as_a_webhook(void)
{
	struct reclaim_late late = {.limit_ms = 1};

	fresh(JOB_WEBHOOK);
	sql("UPDATE job SET accepted_at = now() - interval '1 hour'");
	memcpy(late.job_id, job, sizeof(job));
	CALL(SL_OK, reclaim_expire(reclaim, &late, 1, false, on_number, NULL));
	check_int(number, ==, 1);
	check_int(told("\"description\":\"The run was not started in time\""), ==, 1);
	check_int(told("\"syncType\":\"WEBHOOK\""), ==, 1);
	CALL(SL_OK, reclaim_expire(reclaim, &late, 1, true, on_number, NULL));
	check_int(sql("SELECT count(*) FROM outbox"), ==, 1);
}

static void
a_run_whose_worker_is_lost_is_told(void)
{
	fresh(JOB_SYNC);
	begin();
	CALL(SL_OK, reclaim_end_session(reclaim, settle_session(worker), 0, 3, on_number, NULL));
	check_int(number, ==, 1);
	check_int(told("\"description\":\"The worker that ran the function was lost\""), ==, 1);
	check_int(sql("SELECT count(*) FROM outbox"), ==, 1);
}

static void
a_run_whose_process_dies_or_is_set_aside_is_told(void)
{
	static const struct settle_death death = {.signal = 9};
	struct slice why = SLICE_LITERAL("{\"message\":\"it died\"}");

	fresh(JOB_SYNC);
	begin();
	CALL(SL_OK, settle_death(worker, job, 1, true, &death, 3, 0, why, on_death, NULL));
	check_int(number, ==, 1);
	check_int(told("\"description\":\"it died\""), ==, 1);
	fresh(JOB_SYNC);
	begin();
	CALL(SL_OK, settle_death(worker, job, 1, true, &death, 1, 0, why, on_death, NULL));
	check_int(told("died too often"), ==, 1);
	check_int(sql("SELECT count(*) FROM outbox"), ==, 1);
}

static void
a_run_that_never_started_is_told_by_the_ledger(void)
{
	fresh(JOB_SYNC);
	sql("UPDATE sync SET last_success = now()");
	run = (struct settle_run){.unstarted = true};
	settle(JOB_EXPIRED, SL_OK);
	check_int(told("\"syncType\":\"INCREMENTAL\""), ==, 1);
	settle(JOB_EXPIRED, SL_CONFLICT);
	check_int(sql("SELECT count(*) FROM outbox"), ==, 1);
}

static void
runs_of_syncs_that_are_gone_tell_nothing(void)
{
	fresh(JOB_SYNC);
	sql("DELETE FROM sync");
	check_int(sql("SELECT cancel_job('%s', 1, 0, '{}')", job), ==, 1);
	check_int(sql("SELECT count(*) FROM outbox"), ==, 0);
}

/* ---- actions -------------------------------------------------------------------------------- */

/* An action's job, begun. */
static void
fresh_action(bool webhook)
{
	fresh(JOB_ACTION);
	sql("UPDATE job SET webhook = %s", webhook ? "true" : "false");
	begin();
	event.type = SETTLE_EVENT_ASYNC_ACTION;
	event.outcome = SETTLE_EVENT_CHANGED;
	run = (struct settle_run){.events = &event, .event_count = 1};
}

/* The one event there is says that the action failed so. */
static void
check_failed(const char *connection, const char *type, const char *description)
{
	check_int(sql("SELECT count(*) FROM outbox"), ==, 1);
	check_int(sql("SELECT count(*) FROM outbox WHERE type = 2 AND outcome = 3 AND body = $$"
		      "{\"connectionId\":%s,\"error\":{\"description\":\"%s\",\"type\":\"%s\"},"
		      "\"from\":\"nango\",\"payload\":{\"id\":\"%s\",\"statusUrl\":\"/action/%s\"},"
		      "\"providerConfigKey\":\"a\",\"success\":false,\"type\":\"async_action\"}$$",
		      connection, description, type, job, job),
		  ==, 1);
}

static void
the_event_of_an_action_is_written_with_its_result_and_once(void)
{
	fresh_action(true);
	settle(JOB_SUCCEEDED, SL_OK);
	check_int(
	    sql("SELECT count(*) FROM outbox o JOIN result r ON r.job_id = o.job_id AND r.xmin = o.xmin"
		" WHERE o.type = 2 AND o.outcome = 1 AND o.body = '{\"a\":1}'"),
	    ==, 1);
	settle(JOB_SUCCEEDED, SL_CONFLICT);
	check_int(sql("SELECT cancel_job('%s', 1, 1, '{}')", job), ==, 2);
	check_int(sql("SELECT count(*) FROM outbox"), ==, 1);
}

/* False: there is no such way. */
static bool
end_otherwise(int way)
{
	static const struct settle_death death = {.signal = 9};
	struct slice why = SLICE_LITERAL("{\"code\":\"c\",\"payload\":{\"error\":\"it died\"}}");
	struct reclaim_late late = {.limit_ms = 1};

	switch (way) {
	case 0:
		check_int(
		    sql("SELECT cancel_job('%s', 1, 1, '{\"code\":\"script_aborted\",\"message\":\"no\","
			"\"payload\":{}}')",
			job),
		    ==, 1);
		return true;
	case 1:
		CALL(SL_OK, settle_death(worker, job, 1, true, &death, 3, 0, why, on_death, NULL));
		return true;
	case 2:
		CALL(SL_OK, settle_death(worker, job, 1, true, &death, 1, 0, why, on_death, NULL));
		return true;
	case 3:
		CALL(SL_OK,
		     reclaim_end_session(reclaim, settle_session(worker), 0, 3, on_number, NULL));
		return true;
	case 4:
		sql("DELETE FROM attempt; UPDATE job SET accepted_at = now() - interval '1 hour'");
		memcpy(late.job_id, job, sizeof(job));
		CALL(SL_OK, reclaim_expire(reclaim, &late, 1, true, on_number, NULL));
		return true;
	case 5:
		run = (struct settle_run){.unstarted = true};
		CALL(SL_OK,
		     settle_result(worker, job, 1, JOB_FAILED, slice_text("{\"code\":\"only\"}"),
				   &run, false, rig_on_done, NULL));
		return true;
	}
	return false;
}

static void
an_action_that_others_end_is_told_of_if_its_job_says_so(void)
{
	static const char *const said[][2] = {
	    {"script_aborted", "no"},
	    {"c", "it died"},
	    {"action_script_failure",
	     "poison: the job was set aside after 1 deaths of what ran it; "
	     "last the runner was ended by signal 9"},
	    {"action_script_failure",
	     "worker_lost: the worker stopped while the function ran, and no try is left"},
	    {"action_script_failure", NULL}, /* LEDGER_NOT_STARTED, whose words are the ledger's */
	    {"only", "only"},
	};

	for (int way = 0;; way++) {
		fresh_action(true);
		if (!end_otherwise(way))
			break;
		if (said[way][1] != NULL)
			check_failed("\"one\"", said[way][0], said[way][1]);
		else
			check_int(told("not started"), ==, 1);
		check_int(
		    sql("SELECT count(*) FROM outbox o JOIN result r ON r.job_id = o.job_id AND r.xmin = o.xmin"),
		    ==, 1);
		check_int(sql("SELECT cancel_job('%s', 1, 1, '{}')", job), >, 1);
		check_int(sql("SELECT count(*) FROM outbox"), ==, 1);
		fresh_action(false);
		end_otherwise(way);
		check_int(sql("SELECT count(*) FROM outbox"), ==, 0);
		check_int(sql("SELECT count(*) FROM result"), ==, 1);
	}
}

static void
an_action_whose_connection_is_gone_is_told_of(void)
{
	fresh_action(true);
	sql("UPDATE job SET connection_id = 4711");
	check_int(sql("SELECT cancel_job('%s', 1, 1, '{\"code\":\"a\",\"message\":\"b\"}')", job),
		  ==, 1);
	check_failed("null", "a", "b");
}

/* An earlier release runs beside this one. */
static void
what_an_earlier_release_ends_is_told_of_by_its_result(void)
{
	fresh_action(true);
	sql("INSERT INTO result (job_id, attempt, state, session_id, output) VALUES ('%s', 1, 5, 0,"
	    " '{\"code\":\"x\"}')",
	    job);
	sql("SELECT count(run_ended('%s', 5, NULL))", job);
	check_failed("\"one\"", "x", "x");
}

/* ---- without a job -------------------------------------------------------------------------- */

static void
on_added(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	(void)arg;
	number = id;
	rig_answered(code, error);
}

static void
an_event_without_a_job_is_kept_as_it_is(void)
{
	struct settle_event auth = {.environment_id = 1,
				    .connection_id = rig_connection,
				    .type = SETTLE_EVENT_AUTH,
				    .outcome = SETTLE_EVENT_CHANGED,
				    .body = SLICE_LITERAL("{\"b\":\"\\u0000\"}tail")};

	fresh(JOB_SYNC);
	CALL(SL_INVALID, outbox_add(account, &auth, on_added, NULL));
	auth.body.len -= 4;
	CALL(SL_OK, outbox_add(account, &auth, on_added, NULL));
	check_int(number, ==, rig_connection);
	check_int(
	    sql("SELECT count(*) FROM outbox WHERE type = 3 AND outcome = 1 AND job_id IS NULL AND"
		" connection_id = %lld AND body = '{\"b\":\"\\u0000\"}' AND substr(id::text, 15, 1) = '7'",
		(long long)rig_connection),
	    ==, 1);
}

static void
an_outcome_is_kept_with_the_event(void)
{
	for (int outcome = SETTLE_EVENT_CHANGED; outcome <= SETTLE_EVENT_FAILED; outcome++) {
		fresh(JOB_SYNC);
		event.type = SETTLE_EVENT_SYNC;
		event.outcome = (enum settle_event_outcome)outcome;
		run_of(SYNC_NO_TROUBLE, 0, NULL);
		settle(JOB_SUCCEEDED, SL_OK);
		check_int(sql("SELECT outcome FROM outbox"), ==, outcome);
	}
	fresh(JOB_SYNC);
	check_int(sql("SELECT cancel_job('%s', 1, 2, '{}')", job), ==, 1);
	check_int(sql("SELECT outcome FROM outbox"), ==, SETTLE_EVENT_FAILED);
}

static void
old_rows_go(void)
{
	fresh(JOB_SYNC);
	rig_sql(
	    "INSERT INTO outbox SELECT (lpad(to_hex((extract(epoch FROM now() - t * interval"
	    " '1 day' - interval '1 minute') * 1000)::bigint), 12, '0') || '7' || substr(md5(t::text), 1, 19))::uuid,"
	    " now(), 1, 1, gen_random_uuid(), 1, '{}' FROM generate_series(0, 4) t");
	CALL(SL_OK, reclaim_drop_old_events(reclaim, 2 * DAY_MS, on_number, NULL));
	check_int(number, ==, 3);
	CALL(SL_OK, reclaim_drop_old_events(reclaim, 2 * DAY_MS, on_number, NULL));
	check_int(number, ==, 0);
	check_int(sql("SELECT count(*) FROM outbox"), ==, 2);
}

int
main(void)
{
	struct pg_settings settings = {NULL, "sluiced worker", true, 0, false};

	rig_sync_start();
	settings.conninfo = rig_conninfo;
	worker = settle_new(rig_loop, &settings);
	settings.name = "sluiced reclaim";
	settings.timeout_ms = 60000;
	reclaim = reclaim_new(rig_loop, &settings);
	settings.name = "sluiced account";
	account = account_new(rig_loop, &settings, NULL, NULL);
	CHECK_RUN(an_interrupted_run_and_the_next_one_are_one_transaction);
	CHECK_RUN(a_run_that_is_not_the_newest_or_cannot_go_on_leaves_none);
	CHECK_RUN(while_the_environment_drains_the_schedule_is_due_instead);
	CHECK_RUN(trouble_has_a_time_and_goes_with_a_good_run);
	CHECK_RUN(a_run_that_the_ledger_cannot_take_is_refused);
	CHECK_RUN(a_cancelled_run_is_told_once_and_by_whoever_ended_it_first);
	CHECK_RUN(an_expired_webhook_is_told_as_a_webhook);
	CHECK_RUN(a_run_whose_worker_is_lost_is_told);
	CHECK_RUN(a_run_whose_process_dies_or_is_set_aside_is_told);
	CHECK_RUN(a_run_that_never_started_is_told_by_the_ledger);
	CHECK_RUN(runs_of_syncs_that_are_gone_tell_nothing);
	CHECK_RUN(the_event_of_an_action_is_written_with_its_result_and_once);
	CHECK_RUN(an_action_that_others_end_is_told_of_if_its_job_says_so);
	CHECK_RUN(an_action_whose_connection_is_gone_is_told_of);
	CHECK_RUN(what_an_earlier_release_ends_is_told_of_by_its_result);
	CHECK_RUN(an_event_without_a_job_is_kept_as_it_is);
	CHECK_RUN(an_outcome_is_kept_with_the_event);
	CHECK_RUN(old_rows_go);
	reclaim_free(reclaim);
	settle_free(worker);
	account_free(account);
	rig_sync_stop();
	return check_done();
}
