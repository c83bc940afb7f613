#include "sql/account.h"
#include "sql/settle.h"
#include "tests/integration/sync_rig.h"

static struct settle *worker;
static struct sync_row row;
static char name[64], variant[64], definition[64], last_result[200];
static int row_count;

static void
on_rows(void *arg, enum sl_code code, const struct sync_row *rows, int count,
	const struct sl_error *error)
{
	(void)arg;
	row_count = count;
	if (count > 0) {
		row = rows[0];
		snprintf(name, sizeof(name), "%s", row.name);
		snprintf(variant, sizeof(variant), "%s", row.variant);
		snprintf(definition, sizeof(definition), "%s", row.definition);
		snprintf(last_result, sizeof(last_result), "%s", row.last_result);
	}
	rig_answered(code, error);
}

static int64_t key_id;

static void
on_key(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	(void)arg;
	key_id = id;
	rig_answered(code, error);
}

static int64_t version;
static char value[400];
static bool has_value;

static void
on_checkpoint(void *arg, enum sl_code code, int64_t number, const char *text,
	      const struct sl_error *error)
{
	(void)arg;
	version = number;
	has_value = text != NULL;
	snprintf(value, sizeof(value), "%s", text == NULL ? "" : text);
	rig_answered(code, error);
}

static int64_t
ensure(int64_t connection, const char *which)
{
	CALL(SL_OK, sync_ensure(rig_store, rig_function, connection, which, on_rows, NULL));
	check_int(row_count, ==, 1);
	return row.id;
}

static void
job_row(const char *job, bool ended)
{
	char text[400];

	snprintf(text, sizeof(text),
		 ended ? "INSERT INTO result (job_id, attempt, state, session_id)"
			 " VALUES ('%s', 1, 5, 1)"
		       : "INSERT INTO job (id, environment_id, key_id, function_version_id,"
			 " connection_id, kind, max_retries, webhook)"
			 " VALUES ('%s', 1, 1, 1, 1, 2, 0, false)",
		 job);
	rig_sql(text);
}

/* ---- syncs ---------------------------------------------------------------------------------- */

static void
a_sync_is_made_once_with_a_key_of_its_own(void)
{
	int64_t id = ensure(rig_connection, "base"), key = row.key_id;
	char uuid[UUID_TEXT];

	memcpy(uuid, row.uuid, UUID_TEXT);
	check_int(row.environment_id, ==, RIG_ENVIRONMENT);
	check_int(row.function_id, ==, rig_function);
	check_int(row.connection_id, ==, rig_connection);
	check_text(name, "contacts");
	check_text(variant, "base");
	check_text(definition, "{\"runs\":\"contacts\"}");
	check_int(row.version_id, >, 0);
	check_int(row.last_success_ms, ==, 0);
	check_int(row.last_state, ==, 0);
	check_int(row.last_ended_ms, ==, 0);
	check_text(row.job_id, "");
	check_text(last_result, "");
	check(!row.running);
	check_int(ensure(rig_connection, "base"), ==, id);
	check_text(row.uuid, uuid);
	check_int(row.key_id, ==, key);
	check_int(ensure(rig_connection, "other"), !=, id);
	check_int(row.key_id, !=, key);
	check_int(ensure(rig_second, "base"), !=, id);
	CALL(SL_OK, sync_read(rig_store, id, on_rows, NULL));
	check_text(row.uuid, uuid);
	CALL(SL_NOT_FOUND, sync_read(rig_store, 999, on_rows, NULL));
}

static void
what_does_not_belong_together_makes_no_sync(void)
{
	long long before = rig_sql("SELECT count(*) FROM concurrency_key");

	CALL(SL_NOT_FOUND,
	     sync_ensure(rig_store, rig_function, rig_foreign, "base", on_rows, NULL));
	CALL(SL_NOT_FOUND,
	     sync_ensure(rig_store, rig_action, rig_connection, "base", on_rows, NULL));
	CALL(SL_NOT_FOUND, sync_ensure(rig_store, 999, rig_connection, "base", on_rows, NULL));
	CALL(SL_NOT_FOUND, sync_ensure(rig_store, rig_function, 999, "base", on_rows, NULL));
	check_int(rig_sql("SELECT count(*) FROM concurrency_key"), ==, before);
}

static void
what_is_disabled_or_deleted_has_no_version(void)
{
	int64_t accounts = rig_new_function("sync", "accounts"), gone;

	CALL(SL_OK, sync_ensure(rig_store, accounts, rig_connection, "base", on_rows, NULL));
	check_int(row.version_id, ==, 0); /* it has none */
	check_text(definition, "");
	gone = rig_new_function("sync", "gone");
	CALL(SL_OK, sync_ensure(rig_store, gone, rig_connection, "base", on_rows, NULL));
	rig_sql("UPDATE function SET deleted_at = now(), enabled = false WHERE name = 'gone'");
	CALL(SL_NOT_FOUND, sync_ensure(rig_store, gone, rig_connection, "base", on_rows, NULL));
	rig_sql("UPDATE function SET enabled = false WHERE name = 'contacts'");
	ensure(rig_connection, "base");
	check_int(row.version_id, ==, 0);
	rig_sql("UPDATE function SET enabled = true WHERE name = 'contacts'");
}

static void
a_key_is_made_once_in_an_environment(void)
{
	int64_t first;

	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, "hooks", 1, on_key, NULL));
	first = key_id;
	check_int(first, >, 0);
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, "hooks", 1, on_key, NULL));
	check_int(key_id, ==, first);
	CALL(SL_NOT_FOUND, sync_key(rig_store, 999, "hooks", 1, on_key, NULL));
}

static long long
slots_of(const char *key)
{
	char text[200];

	snprintf(text, sizeof(text), "SELECT slots FROM concurrency_key WHERE name = '%s'", key);
	return rig_sql(text);
}

/* How many times the limits of keys were told since the last look. */
static int
limits_told(void)
{
	PGnotify *notify;
	int count = 0;

	rig_sql("LISTEN " ACCOUNT_LIMITS); /* an answer brings what was sent before it */
	while ((notify = PQnotifies(rig_direct)) != NULL) {
		check_text(notify->extra, "1");
		count++;
		PQfreemem(notify);
	}
	return count;
}

static void
a_key_gets_the_slots_it_is_asked_for(void)
{
	limits_told();
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, "wide", 7, on_key, NULL));
	check_int(slots_of("wide"), ==, 7);
	check_int(limits_told(), ==, 1);
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, "wide", 7, on_key, NULL));
	check_int(limits_told(), ==, 0);
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, "wide", 1, on_key, NULL));
	check_int(slots_of("wide"), ==, 1);
	check_int(limits_told(), ==, 1);
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, "narrow", 1, on_key, NULL));
	check_int(limits_told(), ==, 0);
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, "wide", SYNC_SLOTS_MAX, on_key, NULL));
	CALL(SL_INVALID, sync_key(rig_store, RIG_ENVIRONMENT, "wide", 0, on_key, NULL));
	CALL(SL_INVALID, sync_key(rig_store, RIG_ENVIRONMENT, "wide", -1, on_key, NULL));
	CALL(SL_INVALID,
	     sync_key(rig_store, RIG_ENVIRONMENT, "wide", SYNC_SLOTS_MAX + 1, on_key, NULL));
	check_int(slots_of("wide"), ==, SYNC_SLOTS_MAX);
}

/* A node that has not heard of a change yet asks with the old number. */
static void
settings_go_before_the_slots_that_a_caller_believes_in(void)
{
	char key[64];

	rig_sql("UPDATE environment SET concurrency_by = 'connection', concurrency_limit = 4");
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, "actions:connection:1", 9, on_key, NULL));
	check_int(slots_of("actions:connection:1"), ==, 4);
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, "actions", 1, on_key, NULL));
	check_int(slots_of("actions"), ==, 4);
	snprintf(key, sizeof(key), "actions:function:%lld", (long long)rig_action);
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, key, 1, on_key, NULL));
	check_int(slots_of(key), ==, 4);
	rig_sql("UPDATE function SET concurrency_by = 'function', concurrency_limit = 6"
		" WHERE type = 'action'");
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, key, 4, on_key, NULL));
	check_int(slots_of(key), ==, 6);
	snprintf(key, sizeof(key), "actions:function:%lld:connection:1", (long long)rig_action);
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, key, 3, on_key, NULL));
	check_int(slots_of(key), ==, 3); /* by connection no setting stands */
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT,
			     "actions:function:99999999999999999999999999", 2, on_key, NULL));
	check_int(slots_of("actions:function:99999999999999999999999999"), ==, 2);
	rig_sql("UPDATE environment SET concurrency_by = 'environment', concurrency_limit = 1;"
		" UPDATE function SET concurrency_by = NULL, concurrency_limit = NULL");
}

/* The settings' transaction has not committed when the key is asked for: it is waited for. */
static void
a_key_made_during_a_change_of_the_settings_gets_the_new_slots(void)
{
	rig_sql("BEGIN; UPDATE environment SET concurrency_limit = 8");
	rig_calls = 0;
	sync_key(rig_store, RIG_ENVIRONMENT, "actions:connection:77", 1, on_key, NULL);
	rig_turns(200);
	check_int(rig_calls, ==, 0);
	rig_sql("COMMIT");
	rig_until(rig_calls > 0);
	check_int(rig_code, ==, SL_OK);
	check_int(slots_of("actions:connection:77"), ==, 8);
	rig_sql("UPDATE environment SET concurrency_limit = 1");
}

/* The nodes' setting is what a new key gets; from then on only those who set write. */
static void
runs_of_syncs_share_a_key_with_the_slots_of_their_environment(void)
{
	int64_t first;

	limits_told();
	CALL(SL_OK, sync_lane(rig_store, RIG_ENVIRONMENT, 100, on_key, NULL));
	first = key_id;
	check_int(slots_of("syncs"), ==, 100);
	check_int(limits_told(), ==, 1);
	CALL(SL_OK, sync_lane(rig_store, RIG_ENVIRONMENT, 7, on_key, NULL));
	check_int(key_id, ==, first);
	check_int(slots_of("syncs"), ==, 100);
	check_int(limits_told(), ==, 0);
	rig_sql("DELETE FROM concurrency_key WHERE name = 'syncs';"
		" UPDATE environment SET sync_limit = 3");
	CALL(SL_OK, sync_lane(rig_store, RIG_ENVIRONMENT, 100, on_key, NULL));
	check_int(slots_of("syncs"), ==, 3);
	CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, "syncs", 9, on_key, NULL));
	check_int(slots_of("syncs"), ==, 3);
	CALL(SL_NOT_FOUND, sync_lane(rig_store, 999, 100, on_key, NULL));
	rig_sql("UPDATE environment SET sync_limit = NULL");
}

/* ---- runs ----------------------------------------------------------------------------------- */

static void
a_second_run_is_refused_while_the_first_is_open(void)
{
	int64_t id = ensure(rig_connection, "claims");
	char first[UUID_TEXT], second[UUID_TEXT];
	long long jobs = rig_sql("SELECT count(*) FROM job");

	uuid_v7(first);
	uuid_v7(second);
	CALL(SL_INVALID, rig_accept(rig_store, id, "no uuid", false, rig_on_accepted));
	CALL(SL_NOT_FOUND, rig_accept(rig_store, 999, first, false, rig_on_accepted));
	check_int(rig_sql("SELECT count(*) FROM job"), ==, jobs);
	CALL(SL_OK, rig_accept(rig_store, id, first, false, rig_on_accepted));
	ensure(rig_connection, "claims");
	check_text(row.job_id, first);
	check(row.running);
	CALL(SL_CONFLICT, rig_accept(rig_store, id, second, true, rig_on_accepted));
	check_int(rig_sql("SELECT count(*) FROM job"), ==, jobs + 1);
	rig_sql("UPDATE sync SET claimed_at = now() - interval '1 day' WHERE variant = 'claims'");
	ensure(rig_connection, "claims");
	check(row.running); /* in the ledger, however old */
	CALL(SL_CONFLICT, rig_accept(rig_store, id, second, false, rig_on_accepted));
	job_row(first, true);
	ensure(rig_connection, "claims");
	check(!row.running);
	check_int(row.last_state, ==, JOB_WORKER_LOST); /* which told the sync nothing */
	check_int(row.last_ended_ms, >, clock_wall_ms() - 60000);
	CALL(SL_OK, rig_accept(rig_store, id, second, false, rig_on_accepted));
}

/* An earlier release notes the run first, and puts it into the ledger then. */
static void
a_run_that_was_noted_and_not_accepted_stands_for_a_minute(void)
{
	int64_t id = ensure(rig_connection, "noted");
	char job[UUID_TEXT];

	uuid_v7(job);
	rig_sql("UPDATE sync SET job_id = gen_random_uuid(), claimed_at = now()"
		" WHERE variant = 'noted'");
	ensure(rig_connection, "noted");
	check(row.running);
	CALL(SL_CONFLICT, rig_accept(rig_store, id, job, false, rig_on_accepted));
	rig_sql("UPDATE sync SET claimed_at = now() - interval '61 seconds'"
		" WHERE variant = 'noted'");
	ensure(rig_connection, "noted");
	check(!row.running);
	CALL(SL_OK, rig_accept(rig_store, id, job, false, rig_on_accepted));
}

static void
settle_run_of(int64_t sync, const char *job, int attempt, enum job_state state, int64_t began_ms,
	      const char *counts, enum sl_code expected)
{
	struct settle_run run = {.sync_id = sync, .began_ms = began_ms, .result = counts};

	CALL(expected, settle_result(worker, job, attempt, state, slice_text("{}"), &run, false,
				     rig_on_done, NULL));
}

static void
a_settled_run_is_told_to_its_sync(void)
{
	int64_t id = ensure(rig_connection, "settled"), other = ensure(rig_connection, "bystander");
	char job[UUID_TEXT];

	uuid_v7(job);
	CALL(SL_OK, settle_open(worker, "node", rig_on_done, NULL));
	settle_run_of(id, job, 1, JOB_SUCCEEDED, 1700000000123, "{\"A\":{\"added\":1}}", SL_OK);
	ensure(rig_connection, "settled");
	check_int(row.last_state, ==, JOB_SUCCEEDED);
	check_int(row.last_success_ms, ==, 1700000000123);
	check_int(row.last_ended_ms, >, clock_wall_ms() - 60000);
	check_text(last_result, "{\"A\":{\"added\":1}}");
	check_int(rig_sql("SELECT count(*) FROM sync s JOIN result r ON r.xmin = s.xmin"
			  " WHERE s.variant = 'settled'"),
		  ==, 1);                                            /* one transaction */
	settle_run_of(id, job, 2, JOB_FAILED, 1, "{}", SL_CONFLICT); /* has a result */
	ensure(rig_connection, "settled");
	check_int(row.last_state, ==, JOB_SUCCEEDED);
	uuid_v7(job);
	settle_run_of(id, job, 1, JOB_FAILED, 1800000000000, "{\"B\":{}}", SL_OK);
	ensure(rig_connection, "settled");
	check_int(row.last_state, ==, JOB_FAILED);
	check_int(row.last_success_ms, ==, 1700000000123); /* of the good one */
	check_text(last_result, "{\"B\":{}}");
	CALL(SL_OK, sync_read(rig_store, other, on_rows, NULL));
	check_int(row.last_state, ==, 0);
	uuid_v7(job);
	settle_run_of(id, job, 1, JOB_SUCCEEDED, 1, "no JSON", SL_INVALID);
	settle_run_of(id, job, 1, JOB_SUCCEEDED, INT64_MAX, "{}", SL_INVALID);
	settle_run_of(999, job, 1, JOB_SUCCEEDED, 1, "{}", SL_OK); /* its sync was deleted */
}

static void
runs_and_other_results_share_a_batch(void)
{
	int64_t ids[5];
	char job[UUID_TEXT];
	struct settle_run run = {.result = "{}"};
	char text[20];

	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "batch%d", i);
		ids[i] = ensure(rig_second, text);
	}
	rig_calls = 0;
	for (int i = 0; i < 10; i++) {
		uuid_v7(job);
		run.sync_id = ids[4 - i / 2];
		run.began_ms = 1000 * ids[4 - i / 2];
		settle_result(worker, job, 1, JOB_SUCCEEDED, slice_text(""),
			      i % 2 == 0 ? &run : NULL, false, rig_on_done, NULL);
	}
	rig_until(rig_calls == 10);
	for (int i = 0; i < 5; i++) {
		CALL(SL_OK, sync_read(rig_store, ids[i], on_rows, NULL));
		check_int(row.last_success_ms, ==, 1000 * ids[i]);
	}
}

static void
a_run_of_an_ended_session_tells_nothing(void)
{
	int64_t id = ensure(rig_connection, "ended");
	char job[UUID_TEXT];

	uuid_v7(job);
	rig_end_session(settle_session(worker));
	settle_run_of(id, job, 1, JOB_SUCCEEDED, 1, "{}", SL_CONFLICT);
	CALL(SL_OK, sync_read(rig_store, id, on_rows, NULL));
	check_int(row.last_state, ==, 0);
	CALL(SL_OK, settle_open(worker, "node", rig_on_done, NULL));
}

/* The connection is cut while the first try waits for a lock.  made: as if it had committed. */
static void
settle_in_doubt(const char *which, bool made)
{
	int64_t id = ensure(rig_connection, which);
	struct settle_run run = {.sync_id = id, .began_ms = 5000, .result = "{}"};
	char job[UUID_TEXT], text[400];

	uuid_v7(job);
	rig_calls = 0;
	rig_sql("BEGIN; LOCK TABLE result IN EXCLUSIVE MODE");
	settle_result(worker, job, 1, JOB_SUCCEEDED, slice_text(""), &run, false, rig_on_done,
		      NULL);
	rig_turns(100);
	check_int(rig_cut("sluiced worker"), ==, 1);
	rig_turns(20);
	snprintf(
	    text, sizeof(text),
	    "INSERT INTO result (job_id, attempt, state, session_id) VALUES ('%s', 1, 1, %lld);"
	    "UPDATE sync SET last_state = 1, last_success = 'epoch'::timestamptz"
	    " + interval '7 s' WHERE id = %lld",
	    job, (long long)settle_session(worker), (long long)id);
	if (made)
		rig_sql(text);
	rig_sql("COMMIT");
	rig_until(rig_calls > 0);
	check_int(rig_code, ==, SL_OK);
	CALL(SL_OK, sync_read(rig_store, id, on_rows, NULL));
}

static void
a_run_in_doubt_is_told_once(void)
{
	settle_in_doubt("doubt1", false);
	check_int(row.last_success_ms, ==, 5000);
	settle_in_doubt("doubt2", true);
	check_int(row.last_success_ms, ==, 7000); /* as the commit before the cut left it */
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

static struct checkpoint_place place;

static void
write_checkpoint(int64_t seen, const char *text, int64_t session, enum sl_code expected)
{
	struct sync_fence fence = {.session = session};

	CALL(expected,
	     checkpoint_write(rig_store, &place, seen, text, &fence, on_checkpoint, NULL));
}

static void
read_checkpoint(int64_t expected, const char *text)
{
	CALL(SL_OK, checkpoint_read(rig_store, &place, on_checkpoint, NULL));
	check_int(version, ==, expected);
	check(has_value == (text != NULL));
	check_text(value, text == NULL ? "" : text);
}

static void
a_stale_writer_of_a_checkpoint_is_refused(void)
{
	place = (struct checkpoint_place){rig_connection, rig_function, "base"};
	read_checkpoint(0, NULL);
	write_checkpoint(3, "{\"n\":0}", 0, SL_CONFLICT);
	read_checkpoint(0, NULL);
	write_checkpoint(0, "{\"n\":1}", 0, SL_OK);
	check_int(version, ==, 1);
	read_checkpoint(1, "{\"n\":1}");
	write_checkpoint(0, "{\"n\":2}", 0, SL_CONFLICT);
	write_checkpoint(1, "{\"n\":2}", 0, SL_OK);
	check_int(version, ==, 2);
	write_checkpoint(1, "{\"n\":3}", 0, SL_CONFLICT);
	write_checkpoint(5, "{\"n\":3}", 0, SL_CONFLICT);
	read_checkpoint(2, "{\"n\":2}");
	place.variant = "other";
	read_checkpoint(0, NULL);
	place.function_id = rig_action; /* actions have them too */
	write_checkpoint(0, "{\"m\":\"\\u0000\"}", 0, SL_OK);
	read_checkpoint(1, "{\"m\":\"\\u0000\"}");
	place.function_id = 999;
	write_checkpoint(0, "{}", 0, SL_NOT_FOUND);
}

static void
a_cleared_checkpoint_goes_on_counting(void)
{
	place = (struct checkpoint_place){rig_connection, rig_function, "base"};
	write_checkpoint(2, NULL, 0, SL_OK);
	check_int(version, ==, 3);
	check(!has_value);
	read_checkpoint(3, NULL);
	write_checkpoint(0, "{}", 0, SL_CONFLICT);
	write_checkpoint(3, "{\"n\":4}", 0, SL_OK);
	read_checkpoint(4, "{\"n\":4}");
}

static void
the_same_checkpoint_again_is_ours(void)
{
	place = (struct checkpoint_place){rig_connection, rig_function, "base"};
	write_checkpoint(4, "{\"n\":5}", 0, SL_OK);
	write_checkpoint(4, "{\"n\":5}", 0, SL_OK); /* its first answer was lost */
	check_int(version, ==, 5);
	read_checkpoint(5, "{\"n\":5}");
	write_checkpoint(4, NULL, 0, SL_CONFLICT);
	write_checkpoint(5, "{\"n\":6}", 0, SL_OK);
	write_checkpoint(4, "{\"n\":5}", 0, SL_CONFLICT); /* written since */
	read_checkpoint(6, "{\"n\":6}");
}

static void
a_checkpoint_needs_a_live_session(void)
{
	int64_t session = rig_new_session();

	place = (struct checkpoint_place){rig_second, rig_function, "base"};
	write_checkpoint(0, "{\"n\":1}", session, SL_OK);
	rig_end_session(session);
	write_checkpoint(1, "{\"n\":2}", session, SL_CONFLICT);
	write_checkpoint(1, "{\"n\":2}", 123456, SL_CONFLICT);
	read_checkpoint(1, "{\"n\":1}");
}

static void
a_reset_forgets_what_the_sync_had_reached(void)
{
	int64_t id = ensure(rig_connection, "reset");
	char text[200], job[UUID_TEXT];

	uuid_v7(job);
	place = (struct checkpoint_place){rig_connection, rig_function, "reset"};
	write_checkpoint(0, "{\"n\":1}", 0, SL_OK);
	CALL(SL_OK, record_track_start(rig_store, id, "M", NULL, rig_on_done, NULL));
	snprintf(text, sizeof(text), "UPDATE sync SET last_success = now() WHERE id = %lld",
		 (long long)id);
	rig_sql(text);
	CALL(SL_OK, rig_accept(rig_store, id, job, true, rig_on_accepted));
	ensure(rig_connection, "reset");
	check_int(row.last_success_ms, ==, 0);
	read_checkpoint(2, NULL);
	write_checkpoint(1, "{\"n\":2}", 0,
			 SL_CONFLICT); /* a run that still thinks of the old one */
	check_int(rig_sql("SELECT count(*) FROM track_window"), ==, 0);
}

/* ---- plans ---------------------------------------------------------------------------------- */

/* Plans are made while the tables are empty, and kept: they must not be scans of what they become.
 */
static void
statements_read_their_rows_and_no_others(void)
{
	long long before = 0;
	char job[UUID_TEXT];
	int64_t id;

	rig_sql("VACUUM ANALYZE"); /* entries of rows that are gone count as read, too */
	CALL(SL_OK, settle_open(worker, "node", rig_on_done, NULL));
	for (int round = 0; round < 2; round++) {
		if (round == 1) {
			rig_sql(
			    "WITH c AS (INSERT INTO connection (environment_id, integration_id,"
			    "  connection_id, credentials, seal_row, connection_config, metadata,"
			    "  tags, end_user, webhook_url_override) SELECT 1, 1, 'many' || n, '',"
			    "  '', '{}', '{}', '{}', '{}', '' FROM generate_series(1, 5000) n"
			    "  RETURNING id),"
			    " k AS (INSERT INTO concurrency_key (environment_id, name)"
			    "  SELECT 1, 'many' || id FROM c RETURNING id, name)"
			    " INSERT INTO sync (environment_id, function_id, connection_id, variant,"
			    "  key_id) SELECT 1, 1, c.id, 'plans', k.id FROM c JOIN k"
			    "  ON k.name = 'many' || c.id");
			rig_sql(
			    "INSERT INTO checkpoint SELECT connection_id, function_id, 'plans', 1,"
			    " '{}' FROM sync; INSERT INTO track_window SELECT id, 'M', 1 FROM sync"
			    " ON CONFLICT DO NOTHING");
			before = rig_rows_read(false);
		}
		id = ensure(round == 0 ? rig_connection : rig_second, "plans");
		uuid_v7(job);
		CALL(SL_OK, rig_accept(rig_store, id, job, true, rig_on_accepted));
		place = (struct checkpoint_place){round == 0 ? rig_connection : rig_second,
						  rig_function, "plans2"};
		write_checkpoint(0, "{}", settle_session(worker), SL_OK);
		read_checkpoint(1, "{}");
		CALL(SL_OK, record_track_start(rig_store, id, "M", NULL, rig_on_done, NULL));
		settle_run_of(id, job, 1, JOB_SUCCEEDED, 1, "{}", SL_OK);
		CALL(SL_OK, sync_read(rig_store, id, on_rows, NULL));
		CALL(SL_OK, sync_key(rig_store, RIG_ENVIRONMENT, "hooks", 1, on_key, NULL));
	}
	check_int(rig_rows_read(true) - before, <, 500);
	rig_sql("DELETE FROM connection WHERE connection_id LIKE 'many%'; DELETE FROM sync");
	rig_until(sync_store_is_up(rig_store) && settle_is_up(worker));
}

/* ---- the end -------------------------------------------------------------------------------- */

static void
on_counts(void *arg, enum sl_code code, const struct record_counts *counts,
	  const struct sl_error *error)
{
	(void)arg;
	(void)counts;
	rig_answered(code, error);
}

static void
a_deleted_connection_takes_all_along(void)
{
	int64_t id = ensure(rig_second, "base");
	struct record_item item = {.id = "1", .payload = slice_text("{}")};
	struct record_batch batch = {
	    .connection_id = rig_second, .sync_id = id, .model = "M", .items = &item, .count = 1};
	char text[100];

	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
	CALL(SL_OK, record_track_start(rig_store, id, "M", NULL, rig_on_done, NULL));
	check_int(rig_sql("SELECT count(*) FROM record"), ==, 1);
	snprintf(text, sizeof(text), "DELETE FROM connection WHERE id = %lld",
		 (long long)rig_second);
	rig_sql(text);
	check_int(
	    rig_sql("SELECT (SELECT count(*) FROM record) + (SELECT count(*) FROM track_window)"
		    " + (SELECT count(*) FROM sync WHERE connection_id = 2)"
		    " + (SELECT count(*) FROM checkpoint WHERE connection_id = 2)"),
	    ==, 0);
	check_int(rig_sql("SELECT count(*) FROM concurrency_key WHERE name LIKE 'sync:2:%'"), ==,
		  0);
	check_int(rig_sql("SELECT count(*) FROM concurrency_key WHERE name LIKE 'sync:1:%'"), >, 0);
}

static void
a_deleted_environment_takes_its_syncs_along(void)
{
	rig_sql("DELETE FROM environment");
	check_int(rig_sql("SELECT (SELECT count(*) FROM sync) + (SELECT count(*) FROM checkpoint)"
			  " + (SELECT count(*) FROM concurrency_key)"),
		  ==, 0);
}

static void
freeing_answers_what_is_open(void)
{
	rig_calls = 0;
	sync_read(rig_store, 1, on_rows, NULL);
	rig_accept(rig_store, 1, "no uuid", false, rig_on_accepted);
	sync_store_free(rig_store);
	rig_store = NULL;
	rig_until(rig_calls == 2);
}

int
main(void)
{
	struct pg_settings settings = {NULL, "sluiced worker", true, 0, false};

	rig_sync_start();
	settings.conninfo = rig_conninfo;
	worker = settle_new(rig_loop, &settings);
	CHECK_RUN(statements_read_their_rows_and_no_others); /* first: the tables are empty */
	CHECK_RUN(a_sync_is_made_once_with_a_key_of_its_own);
	CHECK_RUN(what_does_not_belong_together_makes_no_sync);
	CHECK_RUN(what_is_disabled_or_deleted_has_no_version);
	CHECK_RUN(a_key_is_made_once_in_an_environment);
	CHECK_RUN(a_key_gets_the_slots_it_is_asked_for);
	CHECK_RUN(settings_go_before_the_slots_that_a_caller_believes_in);
	CHECK_RUN(a_key_made_during_a_change_of_the_settings_gets_the_new_slots);
	CHECK_RUN(runs_of_syncs_share_a_key_with_the_slots_of_their_environment);
	CHECK_RUN(a_second_run_is_refused_while_the_first_is_open);
	CHECK_RUN(a_run_that_was_noted_and_not_accepted_stands_for_a_minute);
	CHECK_RUN(a_settled_run_is_told_to_its_sync);
	CHECK_RUN(runs_and_other_results_share_a_batch);
	CHECK_RUN(a_run_of_an_ended_session_tells_nothing);
	CHECK_RUN(a_run_in_doubt_is_told_once);
	CHECK_RUN(a_stale_writer_of_a_checkpoint_is_refused);
	CHECK_RUN(a_cleared_checkpoint_goes_on_counting);
	CHECK_RUN(the_same_checkpoint_again_is_ours);
	CHECK_RUN(a_checkpoint_needs_a_live_session);
	CHECK_RUN(a_reset_forgets_what_the_sync_had_reached);
	CHECK_RUN(a_deleted_connection_takes_all_along);
	CHECK_RUN(a_deleted_environment_takes_its_syncs_along);
	CHECK_RUN(freeing_answers_what_is_open);
	settle_free(worker);
	rig_sync_stop();
	return check_done();
}
