#include <stdarg.h>

#include "base/secret.h"
#include "sql/settle.h"
#include "tests/integration/sync_rig.h"

static struct settle *worker;
static struct sync_store *other_store; /* who starts runs meanwhile */
static PGconn *beside;
static int64_t sync_id;
static int other_calls;
static enum sl_code other_code;

static char
    run_id[UUID_TEXT]; /* the newest run of the sync, begun by worker's session, attempt 1 */
static struct sync_fence fence;

static void sql(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void
sql(const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	rig_sql(text);
}

static long long
count_of(const char *table)
{
	char text[100];

	snprintf(text, sizeof(text), "SELECT count(*) FROM %s", table);
	return rig_sql(text);
}

static void
on_sync(void *arg, enum sl_code code, const struct sync_row *row, int count,
	const struct sl_error *error)
{
	(void)arg;
	if (count > 0)
		sync_id = row->id;
	rig_answered(code, error);
}

static void
on_counts(void *arg, enum sl_code code, const struct record_counts *counts,
	  const struct sl_error *error)
{
	(void)arg;
	(void)counts;
	rig_answered(code, error);
}

static void
on_keys(void *arg, enum sl_code code, const char *const *ids, int count,
	const struct sl_error *error)
{
	(void)arg;
	(void)ids;
	(void)count;
	rig_answered(code, error);
}

static int64_t version;

static void
on_checkpoint(void *arg, enum sl_code code, int64_t number, const char *text,
	      const struct sl_error *error)
{
	(void)arg;
	(void)text;
	version = number;
	rig_answered(code, error);
}

static void
on_other(void *arg, enum sl_code code, const struct sl_error *error)
{
	(void)arg;
	(void)error;
	other_calls++;
	other_code = code;
}

static void
on_other_accepted(void *arg, enum sl_code code, int64_t seq, const struct sl_error *error)
{
	(void)seq;
	on_other(arg, code, error);
}

static void
new_job(char *job, int kind)
{
	uuid_v7(job);
	sql("INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind,"
	    " max_retries, webhook) SELECT '%s', 1, s.key_id, 1, s.connection_id, %d, 3, false"
	    " FROM sync s WHERE s.id = %lld",
	    job, kind, (long long)sync_id);
}

/* A sync whose newest run is under way. */
static void
fresh(void)
{
	rig_sql("DELETE FROM record; DELETE FROM track_window; DELETE FROM sync;"
		" DELETE FROM checkpoint");
	rig_until(settle_is_up(worker));
	CALL(SL_OK, settle_open(worker, "node", rig_on_done, NULL));
	CALL(SL_OK, sync_ensure(rig_store, rig_function, rig_connection, "base", on_sync, NULL));
	uuid_v7(run_id);
	CALL(SL_OK, rig_accept(rig_store, sync_id, run_id, false, rig_on_accepted));
	CALL(SL_OK, settle_begin(worker, run_id, 1, rig_on_done, NULL));
	fence = (struct sync_fence){.session = settle_session(worker),
				    .job_id = run_id,
				    .number = 1,
				    .sync_id = sync_id,
				    .newest = true};
}

static void
send_save(void)
{
	static struct record_item item = {.payload = {"p", 1}};
	static char id[30];
	static int number;
	const struct record_batch batch = {.connection_id = rig_connection,
					   .sync_id = sync_id,
					   .model = "M",
					   .fence = fence,
					   .items = &item,
					   .count = 1};

	snprintf(id, sizeof(id), "%d", ++number);
	item.id = id;
	rig_calls = 0;
	record_save(rig_store, &batch, on_counts, NULL);
}

static void
save(enum sl_code expected)
{
	long long before = count_of("record");

	send_save();
	rig_until(rig_calls > 0);
	check_int(rig_code, ==, expected);
	check_int(count_of("record"), ==, before + (expected == SL_OK));
}

/* Whoever is about to write records of the model waits behind this, past its fence. */
static void
hold_model(void)
{
	sql("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('M', %lld))",
	    (long long)rig_connection);
}

/* On a connection of its own: the other may be inside a transaction. */
static void
end_run(void)
{
	char text[200];
	PGresult *result;

	snprintf(text, sizeof(text),
		 "INSERT INTO result (job_id, attempt, state, session_id) VALUES ('%s', 1, 3, 0)",
		 run_id);
	result = PQexec(beside, text);
	rig_must(PQresultStatus(result) == PGRES_COMMAND_OK, "no result");
	PQclear(result);
}

/* ---- who may write -------------------------------------------------------------------------- */

static void
a_run_writes_until_it_has_a_result(void)
{
	fresh();
	save(SL_OK);
	end_run();
	save(SL_CONFLICT);
	check(strstr(rig_error.text, "the run has ended") != NULL);
}

static void
every_writer_stands_behind_the_fence(void)
{
	struct checkpoint_place place = {rig_connection, rig_function, "base"};
	static struct record_item item = {.id = "1", .payload = {"p", 1}};
	struct record_batch batch = {.model = "M", .items = &item, .count = 1};

	fresh();
	batch.connection_id = rig_connection;
	batch.sync_id = sync_id;
	CALL(SL_OK, record_track_start(rig_store, sync_id, "M", &fence, rig_on_done, NULL));
	end_run();
	batch.fence = fence;
	CALL(SL_CONFLICT, record_save(rig_store, &batch, on_counts, NULL));
	CALL(SL_CONFLICT, record_update(rig_store, &batch, on_counts, NULL));
	CALL(SL_CONFLICT, record_delete(rig_store, &batch, on_counts, NULL));
	CALL(SL_CONFLICT, record_track_start(rig_store, sync_id, "N", &fence, rig_on_done, NULL));
	CALL(SL_CONFLICT, record_track_end(rig_store, rig_connection, sync_id, "M", &fence, NULL,
					   on_keys, NULL));
	CALL(SL_CONFLICT, record_delete_unseen(rig_store, rig_connection, sync_id, "M", INT64_MAX,
					       &fence, NULL, on_keys, NULL));
	CALL(SL_CONFLICT,
	     record_clear(rig_store, rig_connection, sync_id, &fence, rig_on_done, NULL));
	CALL(SL_CONFLICT,
	     checkpoint_write(rig_store, &place, 0, "{}", &fence, on_checkpoint, NULL));
	check_int(version, ==, 0); /* not stale: refused as the run */
	check_int(count_of("record") + count_of("checkpoint"), ==, 0);
	check_int(count_of("track_window"), ==, 1);
}

static void
only_the_newest_attempt_writes(void)
{
	fresh();
	fence.number = 2;
	save(SL_CONFLICT); /* not begun */
	sql("INSERT INTO attempt (job_id, number, session_id) VALUES ('%s', 2, %lld)", run_id,
	    (long long)fence.session);
	save(SL_OK);
	fence.number = 1;
	save(SL_CONFLICT);
	fence.number = 2;
	sql("UPDATE attempt SET ended_at = now() WHERE job_id = '%s'", run_id);
	save(SL_CONFLICT); /* a retry follows */
}

static void
an_attempt_of_another_session_does_not_write(void)
{
	fresh();
	fence.session = rig_new_session();
	save(SL_CONFLICT);
}

static void
a_frozen_worker_writes_nothing_when_it_wakes(void)
{
	fresh();
	rig_end_session(fence.session);
	save(SL_CONFLICT);
	fence.session = -1; /* it has noticed */
	save(SL_CONFLICT);
}

static void
a_run_that_was_never_claimed_does_not_write(void)
{
	fresh();
	sql("UPDATE sync SET job_id = NULL WHERE id = %lld", (long long)sync_id);
	save(SL_CONFLICT);
	fence.sync_id = 999;
	save(SL_NOT_FOUND);
}

/* Several at once, and beside a run: none of them is the sync's newest. */
static void
webhooks_of_a_sync_write_side_by_side(void)
{
	char jobs[3][UUID_TEXT];

	fresh();
	save(SL_OK);
	fence.newest = false;
	for (int i = 0; i < 3; i++) {
		new_job(jobs[i], 3);
		CALL(SL_OK, settle_begin(worker, jobs[i], 1, rig_on_done, NULL));
	}
	for (int i = 0; i < 3; i++) {
		fence.job_id = jobs[i];
		save(SL_OK);
	}
	sql("INSERT INTO result (job_id, attempt, state, session_id) VALUES ('%s', 1, 1, 0)",
	    jobs[0]);
	fence.job_id = jobs[0];
	save(SL_CONFLICT);
	fence.job_id = jobs[1];
	save(SL_OK);
}

static void
an_action_needs_a_job_but_no_sync_and_a_call_needs_neither(void)
{
	struct checkpoint_place place = {rig_connection, rig_action, "base"};
	char job[UUID_TEXT];

	fresh();
	new_job(job, 1);
	fence = (struct sync_fence){.session = fence.session, .job_id = job, .number = 1};
	CALL(SL_CONFLICT,
	     checkpoint_write(rig_store, &place, 0, "{}", &fence, on_checkpoint, NULL));
	CALL(SL_OK, settle_begin(worker, job, 1, rig_on_done, NULL));
	CALL(SL_OK, checkpoint_write(rig_store, &place, 0, "{}", &fence, on_checkpoint, NULL));
	CALL(SL_CONFLICT,
	     checkpoint_write(rig_store, &place, 0, "{\"a\":1}", &fence, on_checkpoint, NULL));
	check_int(version, ==, CHECKPOINT_STALE);
	fence = (struct sync_fence){.job_id = ""};
	CALL(SL_OK, checkpoint_write(rig_store, &place, 1, NULL, &fence, on_checkpoint, NULL));
}

/* ---- at the same moment --------------------------------------------------------------------- */

static void
the_next_run_begins_after_a_batch_that_is_under_way(void)
{
	char next[UUID_TEXT];

	fresh();
	hold_model();
	send_save();
	rig_turns(150); /* past the fence: it waits for the model */
	check_int(rig_calls, ==, 0);
	end_run();
	uuid_v7(next);
	other_calls = 0;
	rig_accept(other_store, sync_id, next, false, on_other_accepted);
	rig_turns(150);
	check_int(other_calls, ==, 0);
	rig_sql("COMMIT");
	rig_until(rig_calls > 0 && other_calls > 0);
	check_int(rig_code, ==, SL_OK);
	check_int(other_code, ==, SL_OK);
	check_int(count_of("record"), ==, 1);
	save(SL_CONFLICT);
}

/* The claim is not committed yet when the older run comes to write. */
static void
a_batch_that_waited_for_a_claim_is_refused(void)
{
	char next[UUID_TEXT];

	fresh();
	uuid_v7(next);
	sql("BEGIN; UPDATE sync SET job_id = '%s' WHERE id = %lld", next, (long long)sync_id);
	send_save();
	rig_turns(150);
	check_int(rig_calls, ==, 0);
	rig_sql("COMMIT");
	rig_until(rig_calls > 0);
	check_int(rig_code, ==, SL_CONFLICT);
	check_int(count_of("record"), ==, 0);
}

/* The look at the result is later than the lock: what was committed meanwhile is seen. */
static void
a_batch_that_waited_for_a_cancel_is_refused(void)
{
	fresh();
	sql("INSERT INTO hold (key_id, slot, tenure, session_id)"
	    " SELECT key_id, 0, 1, %lld FROM sync WHERE id = %lld"
	    " ON CONFLICT (key_id, slot) DO UPDATE SET session_id = excluded.session_id",
	    (long long)fence.session, (long long)sync_id);
	sql("BEGIN; SELECT cancel_job('%s', 1, 2, 'no more')", run_id);
	send_save();
	rig_turns(150);
	check_int(rig_calls, ==, 0);
	rig_sql("COMMIT");
	rig_until(rig_calls > 0);
	check_int(rig_code, ==, SL_CONFLICT);
	check(strstr(rig_error.text, "the run has ended") != NULL);
	check_int(count_of("record"), ==, 0);
}

static void
a_try_is_given_up_after_a_batch_that_is_under_way(void)
{
	fresh();
	hold_model();
	send_save();
	rig_turns(150);
	check_int(rig_calls, ==, 0);
	other_calls = 0;
	settle_retry(worker, run_id, 1, 0, false, on_other, NULL);
	rig_turns(150);
	check_int(other_calls, ==, 0); /* waits for the batch */
	rig_sql("COMMIT");
	rig_until(rig_calls > 0 && other_calls > 0);
	check_int(rig_code, ==, SL_OK);
	check_int(other_code, ==, SL_OK);
	check_int(count_of("record"), ==, 1);
	save(SL_CONFLICT);
}

static void
a_batch_of_a_webhook_keeps_no_run_waiting(void)
{
	struct settle_run run = {.result = "{}"};
	char job[UUID_TEXT], next[UUID_TEXT];

	fresh();
	run.sync_id = sync_id;
	new_job(job, 3);
	CALL(SL_OK, settle_begin(worker, job, 1, rig_on_done, NULL));
	fence.job_id = job;
	fence.newest = false;
	hold_model();
	send_save();
	rig_turns(150);
	check_int(rig_calls, ==, 0);
	other_calls = 0;
	settle_result(worker, run_id, 1, JOB_SUCCEEDED, slice_text("{}"), &run, false, on_other,
		      NULL);
	rig_until(other_calls > 0);
	check_int(other_code, ==, SL_OK);
	uuid_v7(next);
	other_calls = 0;
	rig_accept(other_store, sync_id, next, false, on_other_accepted);
	rig_until(other_calls > 0);
	check_int(other_code, ==, SL_OK);
	check_int(rig_calls, ==, 0);
	rig_sql("COMMIT");
	rig_until(rig_calls > 0);
	check_int(rig_code, ==, SL_OK);
}

/* A delete locks the connection, then the syncs that it takes along: a batch does likewise. */
static void
a_batch_and_the_delete_of_its_connection_do_not_wait_in_a_circle(void)
{
	int64_t kept = rig_connection;

	rig_connection = rig_new_connection("short", RIG_INTEGRATION);
	fresh();
	sql("BEGIN; SELECT FROM connection WHERE id = %lld FOR UPDATE", (long long)rig_connection);
	send_save();
	rig_turns(150);
	check_int(rig_calls, ==, 0);
	sql("DELETE FROM connection WHERE id = %lld", (long long)rig_connection);
	rig_sql("COMMIT");
	rig_until(rig_calls > 0);
	check_int(rig_code, ==, SL_NOT_FOUND);
	rig_connection = kept;
}

/* Plans are made while the tables are empty, and kept. */
static void
the_fence_reads_its_rows_and_no_others(void)
{
	long long before = 0;

	for (int round = 0; round < 2; round++) {
		fresh();
		if (round == 1) {
			rig_sql("INSERT INTO result (job_id, attempt, state, session_id)"
				" SELECT gen_random_uuid(), 1, 1, 1 FROM generate_series(1, 5000)");
			rig_sql("INSERT INTO attempt (job_id, number, session_id)"
				" SELECT gen_random_uuid(), 1, 1 FROM generate_series(1, 5000)");
			before = rig_rows_read(false);
		}
		save(SL_OK);
	}
	check_int(rig_rows_read(true) - before, <, 300);
	rig_until(sync_store_is_up(rig_store));
}

int
main(void)
{
	struct pg_settings settings = {NULL, "sluiced worker", true, 0, false};

	rig_sync_start();
	settings.conninfo = rig_conninfo;
	worker = settle_new(rig_loop, &settings);
	settings.name = "sluiced other";
	other_store = sync_store_new(rig_loop, &settings);
	beside = PQconnectdb(rig_conninfo);
	rig_must(PQstatus(beside) == CONNECTION_OK, "no second connection");
	CHECK_RUN(the_fence_reads_its_rows_and_no_others); /* first: the tables are empty */
	CHECK_RUN(a_run_writes_until_it_has_a_result);
	CHECK_RUN(every_writer_stands_behind_the_fence);
	CHECK_RUN(only_the_newest_attempt_writes);
	CHECK_RUN(an_attempt_of_another_session_does_not_write);
	CHECK_RUN(a_frozen_worker_writes_nothing_when_it_wakes);
	CHECK_RUN(a_run_that_was_never_claimed_does_not_write);
	CHECK_RUN(webhooks_of_a_sync_write_side_by_side);
	CHECK_RUN(an_action_needs_a_job_but_no_sync_and_a_call_needs_neither);
	CHECK_RUN(the_next_run_begins_after_a_batch_that_is_under_way);
	CHECK_RUN(a_batch_that_waited_for_a_claim_is_refused);
	CHECK_RUN(a_batch_that_waited_for_a_cancel_is_refused);
	CHECK_RUN(a_try_is_given_up_after_a_batch_that_is_under_way);
	CHECK_RUN(a_batch_of_a_webhook_keeps_no_run_waiting);
	CHECK_RUN(a_batch_and_the_delete_of_its_connection_do_not_wait_in_a_circle);
	PQfinish(beside);
	sync_store_free(other_store);
	settle_free(worker);
	rig_sync_stop();
	return check_done();
}
