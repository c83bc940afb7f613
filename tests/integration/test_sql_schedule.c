#include "sql/schedule.h"

#include "base/interval.h"
#include "tests/integration/sync_rig.h"

#define HOUR_MS 3600000

static struct schedule_store *store, *other;
static struct schedule_pass passes[2]; /* the last of each store; jobs is not kept */
static struct reclaim_job jobs[2][SCHEDULE_RUNS_MAX];
static int answers;
static struct schedule_view view;
static int64_t counted;

static void
on_pass(void *arg, enum sl_code code, const struct schedule_pass *pass,
	const struct sl_error *error)
{
	int i = arg == NULL ? 0 : 1;

	passes[i] = *pass;
	memcpy(jobs[i], pass->jobs, (size_t)pass->count * sizeof(*pass->jobs));
	answers++;
	rig_answered(code, error);
}

static void
on_view(void *arg, enum sl_code code, const struct schedule_view *seen,
	const struct sl_error *error)
{
	(void)arg;
	view = *seen;
	rig_answered(code, error);
}

static void
on_count(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	(void)arg;
	counted = count;
	rig_answered(code, error);
}

static const struct schedule_ask plain = {.default_room = 1000, .sync_limit = 7};

static const struct schedule_pass *
take(const struct schedule_ask *ask)
{
	CALL(SL_OK, schedule_take(store, ask, on_pass, NULL));
	return &passes[0];
}

static void
make_all(void)
{
	do
		CALL(SL_OK, schedule_make(store, 0, on_count, NULL));
	while (counted > 0);
}

static int
remove_all(void)
{
	int steps = 0;

	do {
		CALL(SL_OK, schedule_remove(store, on_count, NULL));
		steps++;
	} while (counted > 0);
	return steps;
}

/* Nothing is left of earlier tests but the environment, its integrations and three connections. */
static void
fresh(void)
{
	rig_sql("DELETE FROM function");
	rig_sql("DELETE FROM connection WHERE connection_id NOT IN ('one', 'two', 'three')");
	rig_sql("TRUNCATE schedule_work, job, result, record, checkpoint, concurrency_key CASCADE");
	rig_sql("UPDATE environment SET draining_at = NULL, paused_at = NULL");
}

/* Deploys a sync; its id. */
static long long
deploy(const char *name, const char *definition)
{
	char text[700];
	long long id;

	snprintf(text, sizeof(text),
		 "INSERT INTO function (environment_id, integration_id, type, name)"
		 " VALUES (%d, %d, 'sync', '%s') ON CONFLICT DO NOTHING",
		 RIG_ENVIRONMENT, RIG_INTEGRATION, name);
	rig_sql(text);
	snprintf(
	    text, sizeof(text),
	    "WITH v AS (INSERT INTO function_version (function_id, version, event, source,"
	    "  definition, code, ts, digest) SELECT id, '1', '', 'repo', E'%s', '', '', ''"
	    "  FROM function WHERE name = '%s' AND deleted_at IS NULL RETURNING id, function_id)"
	    " UPDATE function f SET version_id = v.id FROM v WHERE f.id = v.function_id"
	    " RETURNING f.id",
	    definition, name);
	id = rig_sql(text);
	check_int(id, >, 0);
	return id;
}

static void
ended(void)
{
	rig_sql(
	    "INSERT INTO result (job_id, attempt, state, session_id) SELECT id, 1, 1, 1 FROM job"
	    " ON CONFLICT DO NOTHING");
}

static void
is_due(void)
{
	rig_sql("UPDATE schedule SET next_run_at = now() - interval '1 second' WHERE started");
}

/* ---- SQL that C has too ----------------------------------------------------------------------- */

static void
the_database_reads_every_interval_as_c_does(void)
{
	static const char *const units[] = {
	    "s",      "sec",     "secs", "second", "seconds",  "m",         "min",          "mins",
	    "minute", "minutes", "h",    "hr",     "hrs",      "hour",      "hours",        "d",
	    "day",    "days",    "week", "month",  "half day", "half hour", "quarter hour", "weeks",
	    "ms",     "",        "D"};
	static const char *const counts[] = {
	    "",   "1",         "1 ",        "2",          "29 ", "30",  "45 ",
	    "0",  "000000031", "366",       "367 ",       "1  ", "1e9", "1.5",
	    "-5", "527040",    "999999999", "9999999999", " 1"};
	int read = 0;

	for (size_t e = 0; e < 3; e++)
		for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++)
			for (size_t u = 0; u < sizeof(units) / sizeof(*units); u++) {
				static const char *const every[] = {"", "every ", "every"};
				char text[80], sql[140];
				int64_t ms = 0;

				snprintf(text, sizeof(text), "%s%s%s", every[e], counts[c],
					 units[u]);
				if (interval_parse(text, &ms, NULL) != SL_OK)
					ms = 0;
				read += ms > 0;
				snprintf(sql, sizeof(sql), "SELECT coalesce(every_ms('%s'), 0)",
					 text);
				if (rig_sql(sql) != ms)
					printf("# \"%s\"\n", text);
				check_int(rig_sql(sql), ==, ms);
			}
	check_int(read, >, 200);
}

static void
the_next_slot_is_the_first_behind_a_moment_also_before_the_anchor(void)
{
	static const struct {
		const char *after;
		int minutes; /* from the anchor */
	} cases[] = {{"2026-03-01 00:00:00", 5},
		     {"2026-03-01 00:00:00.000001", 5},
		     {"2026-03-01 00:04:59.999999", 5},
		     {"2026-03-01 00:05:00", 10},
		     {"2026-03-30 00:05:00", 29 * 1440 + 10},
		     {"2026-02-28 23:59:00", 0},
		     {"2026-02-28 23:55:00", 0},
		     {"2026-02-28 23:54:59", -5}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char sql[200];

		snprintf(sql, sizeof(sql),
			 "SELECT extract(epoch FROM next_slot('2026-03-01 00:00:00+00', 300000,"
			 " '%s+00') - '2026-03-01 00:00:00+00') / 60",
			 cases[i].after);
		check_int(rig_sql(sql), ==, cases[i].minutes);
	}
}

/* ---- making ---------------------------------------------------------------------------------- */

static void
a_deploy_makes_the_syncs_of_all_connections_and_a_new_connection_those_of_all_functions(void)
{
	fresh();
	deploy(
	    "a",
	    "{\"runs\":\"every hour\",\"auto_start\":true,\"description\":\"\\\\u0000 \\\\\"x\"}");
	deploy("b", "{\"runs\":\"every day\",\"auto_start\":false}");
	deploy("c", "{\"runs\":null}");
	rig_sql("UPDATE function SET enabled = false WHERE name = 'c'"); /* makes no difference */
	make_all();
	check_int(rig_sql("SELECT count(*) FROM sync"), ==, 6);
	check_int(rig_sql("SELECT count(*) FROM schedule c JOIN sync s ON s.id = c.sync_id JOIN"
			  " function f ON f.id = s.function_id WHERE f.name = 'a' AND c.started"
			  " AND c.every_ms = 3600000 AND c.next_run_at <= now()"
			  " AND c.next_run_at = c.anchor"),
		  ==, 2);
	check_int(rig_sql("SELECT count(*) FROM schedule c JOIN sync s ON s.id = c.sync_id JOIN"
			  " function f ON f.id = s.function_id WHERE f.name = 'b' AND NOT c.started"
			  " AND c.every_ms = 86400000 AND c.next_run_at IS NULL"),
		  ==, 2);
	check_int(rig_sql("SELECT count(*) FROM schedule c JOIN sync s ON s.id = c.sync_id JOIN"
			  " function f ON f.id = s.function_id WHERE f.name = 'c' AND c.started"
			  " AND c.every_ms IS NULL AND c.next_run_at IS NULL"),
		  ==, 2);
	rig_new_connection("four", RIG_INTEGRATION);
	rig_new_connection("five", RIG_FOREIGN_INTEGRATION);
	make_all();
	check_int(rig_sql("SELECT count(*) FROM sync"), ==, 9);
	check_int(rig_sql("SELECT count(*) FROM schedule"), ==, 9);
	check_int(rig_sql("SELECT count(*) FROM schedule_work"), ==, 0);
}

static void
two_that_make_the_same_syncs_make_them_once_in_pieces(void)
{
	int calls = 0;

	fresh();
	rig_sql(
	    "INSERT INTO connection (environment_id, integration_id, connection_id, credentials,"
	    " seal_row, connection_config, metadata, tags, end_user, webhook_url_override)"
	    " SELECT 1, 1, 'many' || n, '', '', '{}', '{}', '{}', '{}', '' FROM generate_series(1, 1300) n");
	deploy("a", "{\"runs\":\"every hour\"}");
	deploy("b", "{\"runs\":\"every hour\"}");
	do {
		rig_calls = 0;
		schedule_make(store, 0, on_count, NULL);
		schedule_make(other, 0, on_count, NULL);
		rig_until(rig_calls == 2);
		check_int(rig_code, ==, SL_OK);
		check_int(rig_sql("SELECT count(*) FROM sync"), <=,
			  2 * ++calls * SCHEDULE_MAKE_MAX);
	} while (rig_sql("SELECT count(*) FROM schedule_work") > 0);
	check_int(rig_sql("SELECT count(*) FROM sync"), ==, 2 * 1302);
	check_int(rig_sql("SELECT count(*) FROM schedule"), ==, 2 * 1302);
	check_int(calls, >, 2);
}

static void
syncs_that_have_no_schedule_yet_get_one_whatever_their_variant(void)
{
	long long function;
	char text[200];

	fresh();
	function = deploy("a", "{\"runs\":\"every hour\"}");
	snprintf(text, sizeof(text),
		 "SELECT make_syncs('{%lld}', '{%lld}', v) FROM unnest('{base,blue}'::text[]) v",
		 function, (long long)rig_connection);
	rig_sql(text);
	rig_sql("DELETE FROM schedule"); /* as an earlier release leaves them */
	make_all();
	check_int(rig_sql("SELECT count(*) FROM schedule"), ==, 3); /* and the other connection's */
	check_int(rig_sql("SELECT count(*) FROM sync"), ==, 3);
}

static void
another_frequency_moves_the_schedules_that_have_none_of_their_own(void)
{
	fresh();
	deploy("a", "{\"runs\":\"every 4 hours\"}");
	make_all();
	rig_sql("UPDATE schedule SET anchor = now() - interval '90 minutes',"
		" next_run_at = now() + interval '150 minutes'");
	rig_sql(
	    "UPDATE schedule SET frequency = '4h' WHERE sync_id = (SELECT min(sync_id) FROM schedule)");
	deploy("a", "{\"runs\":\"every hour\"}");
	make_all();
	check_int(
	    rig_sql("SELECT count(*) FROM schedule WHERE frequency IS NULL AND every_ms = 3600000"
		    " AND next_run_at = anchor + interval '2 hours'"),
	    ==, 1);
	check_int(
	    rig_sql("SELECT count(*) FROM schedule WHERE frequency = '4h' AND every_ms = 14400000"
		    " AND next_run_at = anchor + interval '4 hours'"),
	    ==, 1);
	deploy("a", "{\"runs\":null}");
	make_all();
	check_int(rig_sql("SELECT count(*) FROM schedule WHERE every_ms IS NULL"
			  " AND next_run_at IS NULL AND started"),
		  ==, 1);
	rig_sql("UPDATE schedule SET started = false, next_run_at = NULL");
	deploy("a", "{\"runs\":\"every hour\"}");
	make_all();
	check_int(rig_sql("SELECT count(*) FROM schedule WHERE next_run_at IS NOT NULL"), ==, 0);
}

/* ---- runs that are due ----------------------------------------------------------------------- */

static void
a_run_that_is_due_is_accepted_with_the_next_slot_and_noted(void)
{
	const struct schedule_pass *pass;

	fresh();
	deploy("a", "{\"runs\":\"every hour\"}");
	make_all();
	rig_sql("UPDATE schedule SET anchor = now() - interval '300 minutes 30 seconds'");
	is_due();
	pass = take(&plain);
	check_int(pass->count, ==, 2);
	check_int(pass->open + pass->postponed, ==, 0);
	check_int(jobs[0][0].seq, <, jobs[0][1].seq);
	check_int(
	    rig_sql("SELECT count(*) FROM job j JOIN sync s ON s.job_id = j.id JOIN concurrency_key"
		    " k ON k.id = j.key_id WHERE k.name = 'syncs' AND k.slots = 7 AND j.kind = 2"
		    " AND j.max_retries = 0 AND convert_from(j.input, 'UTF8') ="
		    " '{\"sync\":' || s.id || ',\"emptyCache\":false}' AND NOT j.webhook"
		    " AND s.claimed_at IS NOT NULL AND j.connection_id = s.connection_id"),
	    ==, 2);
	check_int(jobs[0][0].key_id, ==,
		  rig_sql("SELECT id FROM concurrency_key WHERE name = 'syncs'"));
	check_int(jobs[0][0].kind, ==, JOB_SYNC);
	/* Five slots were missed, and ran once. */
	check_int(
	    rig_sql(
		"SELECT count(*) FROM schedule WHERE next_run_at = anchor + interval '6 hours'"),
	    ==, 2);
	check_int(pass->view.wait_ms, >, HOUR_MS - 60000);
	check_int(pass->view.wait_ms, <=, HOUR_MS - 30000);
	check_int(take(&plain)->count, ==, 0);
}

static void
a_slot_is_left_out_while_a_run_is_open(void)
{
	fresh();
	deploy("a", "{\"runs\":\"every hour\"}");
	make_all();
	check_int(take(&plain)->count, ==, 2);
	is_due();
	check_int(take(&plain)->open, ==, 2);
	check_int(passes[0].count, ==, 0);
	check_int(rig_sql("SELECT count(*) FROM schedule WHERE next_run_at > now()"), ==, 2);
	check_int(take(&plain)->open, ==, 0);
	ended();
	is_due();
	check_int(take(&plain)->count, ==, 2);
	check_int(rig_sql("SELECT count(*) FROM job"), ==, 4);
}

static void
what_cannot_start_is_put_off_and_comes_later(void)
{
	fresh();
	deploy("a", "{\"runs\":\"every hour\"}");
	make_all();
	rig_sql("UPDATE function SET enabled = false");
	check_int(take(&plain)->postponed, ==, 2);
	check_int(rig_sql("SELECT count(*) FROM schedule WHERE next_run_at ="
			  " next_slot(anchor, every_ms, now())"),
		  ==, 2);
	rig_sql("UPDATE function SET enabled = true");
	rig_sql("UPDATE environment SET draining_at = now()");
	is_due();
	check_int(take(&plain)->postponed, ==, 2);
	check_int(rig_sql("SELECT count(*) FROM schedule WHERE next_run_at BETWEEN"
			  " now() + interval '25 seconds' AND now() + interval '90 seconds'"),
		  ==, 2);
	check_int(take(&plain)->postponed, ==, 0);
	rig_sql("UPDATE environment SET draining_at = NULL");
	check_int(take(&plain)->count, ==, 0);
	is_due();
	rig_sql("UPDATE environment SET paused_at = now()"); /* accepts, and its runs wait */
	check_int(take(&plain)->count, ==, 2);
	check_int(rig_sql("SELECT count(*) FROM job"), ==, 2);
}

static void
an_environment_gets_no_more_runs_than_it_has_room_for(void)
{
	struct schedule_room room = {RIG_ENVIRONMENT, 0};
	struct schedule_ask ask = {.default_room = 1, .sync_limit = 7};

	fresh();
	deploy("a", "{\"runs\":\"every hour\"}");
	rig_new_connection("four", RIG_INTEGRATION);
	make_all();
	check_int(take(&ask)->count, ==, 1);
	check_int(passes[0].view.wait_ms, ==, 0); /* the others are still due */
	check_int(passes[0].postponed, ==, 0);
	ask.rooms = &room;
	ask.room_count = 1;
	check_int(take(&ask)->postponed, ==, 2);
	check_int(passes[0].view.wait_ms, >, 20000);
	is_due();
	ended();
	room.room = 2;
	check_int(take(&ask)->count, ==, 2);
	check_int(take(&ask)->count, ==, 1);
}

static void
two_that_lead_at_once_do_each_slot_once(void)
{
	int sum = 0;

	fresh();
	rig_sql(
	    "INSERT INTO connection (environment_id, integration_id, connection_id, credentials,"
	    " seal_row, connection_config, metadata, tags, end_user, webhook_url_override)"
	    " SELECT 1, 1, 'many' || n, '', '', '{}', '{}', '{}', '{}', '' FROM generate_series(1, 1498) n");
	deploy("a", "{\"runs\":\"every hour\"}");
	make_all();
	for (int i = 0; i < 4; i++) {
		answers = 0;
		schedule_take(store, &plain, on_pass, NULL);
		schedule_take(other, &plain, on_pass, (void *)1);
		rig_until(answers == 2);
		check_int(rig_code, ==, SL_OK);
		check_int(passes[0].open + passes[1].open, ==, 0);
		sum += passes[0].count + passes[1].count;
	}
	check_int(sum, ==, 1500);
	check_int(rig_sql("SELECT count(*) FROM job"), ==, 1500);
	check_int(rig_sql("SELECT count(DISTINCT job_id) FROM sync"), ==, 1500);
}

static void
what_somebody_else_has_locked_stays_due_and_is_not_waited_for(void)
{
	fresh();
	deploy("a", "{\"runs\":\"every hour\"}");
	make_all();
	rig_sql("BEGIN");
	rig_sql(
	    "SELECT FROM sync WHERE connection_id = (SELECT min(connection_id) FROM sync) FOR SHARE");
	check_int(take(&plain)->count, ==, 1);
	check_int(take(&plain)->count, ==, 0);
	check_int(passes[0].view.wait_ms, ==, 0);
	rig_sql("ROLLBACK");
	check_int(take(&plain)->count, ==, 1);
}

static void
jitter_comes_on_top_of_a_slot_and_stays_within_the_interval(void)
{
	struct schedule_ask ask = plain;

	ask.jitter_ms = 24 * HOUR_MS;
	fresh();
	rig_sql(
	    "INSERT INTO connection (environment_id, integration_id, connection_id, credentials,"
	    " seal_row, connection_config, metadata, tags, end_user, webhook_url_override)"
	    " SELECT 1, 1, 'many' || n, '', '', '{}', '{}', '{}', '{}', '' FROM generate_series(1, 98) n");
	deploy("a", "{\"runs\":\"every hour\"}");
	make_all();
	check_int(take(&ask)->count, ==, 100);
	check_int(rig_sql("SELECT count(DISTINCT next_run_at) FROM schedule"), >, 90);
	check_int(rig_sql("SELECT count(*) FROM schedule WHERE next_run_at BETWEEN"
			  " anchor + interval '1 hour' AND anchor + interval '2 hours'"),
		  ==, 100);
}

static void
a_clock_that_was_set_back_leaves_no_schedule_waiting_for_longer_than_its_interval(void)
{
	fresh();
	deploy("a", "{\"runs\":\"every hour\"}");
	make_all();
	check_int(take(&plain)->count, ==, 2);
	CALL(SL_OK, schedule_set_back(store, 0, on_count, NULL));
	check_int(counted, ==, 0);
	rig_sql("UPDATE schedule SET anchor = anchor + interval '1 day',"
		" next_run_at = next_run_at + interval '1 day'");
	CALL(SL_OK, schedule_set_back(store, 0, on_count, NULL));
	check_int(counted, ==, 2);
	check_int(rig_sql("SELECT count(*) FROM schedule WHERE next_run_at > now()"
			  " AND next_run_at <= now() + interval '1 hour'"),
		  ==, 2);
	CALL(SL_OK, schedule_look(store, on_view, NULL));
	check_int(view.wait_ms, <=, HOUR_MS);
	check_int(take(&plain)->count, ==, 0);
}

static void
what_is_due_is_found_by_its_index(void)
{
	fresh();
	deploy("a", "{\"runs\":\"every hour\"}");
	make_all();
	rig_sql(
	    "INSERT INTO connection (environment_id, integration_id, connection_id, credentials,"
	    " seal_row, connection_config, metadata, tags, end_user, webhook_url_override)"
	    " SELECT 1, 1, 'many' || n, '', '', '{}', '{}', '{}', '{}', '' FROM generate_series(1, 1500) n");
	make_all();
	rig_sql("UPDATE schedule SET next_run_at = now() + interval '1 hour'");
	rig_sql("VACUUM ANALYZE schedule");
	rig_sql("VACUUM ANALYZE sync");
	rig_sql(
	    "UPDATE schedule SET next_run_at = now() WHERE sync_id IN (SELECT sync_id FROM schedule LIMIT 3)");
	{
		long long before = rig_rows_read(true);

		check_int(take(&plain)->count, ==, 3);
		check_int(rig_rows_read(true) - before, <, 1000);
	}
}

/* ---- removal --------------------------------------------------------------------------------- */

static void
records_of(const char *sync, const char *model, int from, int to)
{
	char text[700];

	snprintf(
	    text, sizeof(text),
	    "INSERT INTO record (connection_id, model, id, sync_id, seen, last_action, first_seen,"
	    " last_modified, digest, payload) SELECT s.connection_id, '%s', 'r' || n, s.id, 1, 1,"
	    " now(), now(), '', '' FROM sync s JOIN function f ON f.id = s.function_id,"
	    " generate_series(%d, %d) n WHERE f.name = '%s'",
	    model, from, to, sync);
	rig_sql(text);
}

static void
a_function_that_is_removed_stops_at_once_and_leaves_in_pieces_with_what_its_syncs_saved(void)
{
	fresh();
	deploy("gone", "{\"runs\":\"every hour\"}");
	deploy("stays", "{\"runs\":\"every hour\"}");
	make_all();
	check_int(rig_sql("SELECT count(*) FROM sync"), ==, 4);
	records_of("gone", "Item", 1, 6000);
	records_of("stays", "Item", 6001, 9000);
	records_of("gone", "Other", 1, 10);
	rig_sql(
	    "INSERT INTO checkpoint SELECT connection_id, function_id, variant, 1, '{}' FROM sync");
	rig_sql("UPDATE function SET deleted_at = now(), enabled = false WHERE name = 'gone'");
	check_int(rig_sql("SELECT count(*) FROM schedule"), ==, 2);
	check_int(take(&plain)->count, ==, 2);
	deploy("gone", "{\"runs\":\"every hour\"}"); /* another one of the same name */
	make_all();
	check_int(rig_sql("SELECT count(*) FROM sync"), ==, 6);
	check_int(take(&plain)->count, ==, 2);
	check_int(remove_all(), >=, 4);
	check_int(rig_sql("SELECT count(*) FROM sync"), ==, 4);
	check_int(rig_sql("SELECT count(*) FROM sync WHERE removed_at IS NOT NULL"), ==, 0);
	check_int(rig_sql("SELECT count(*) FROM record"), ==, 2 * 3000);
	check_int(rig_sql("SELECT count(*) FROM checkpoint"), ==, 2);
	check_int(rig_sql("SELECT count(*) FROM schedule_work"), ==, 0);
	check_int(rig_sql("SELECT count(*) FROM concurrency_key WHERE name <> 'syncs'"), ==, 4);
}

static void
a_variant_that_is_removed_can_be_made_again_at_once_and_starts_fresh(void)
{
	char text[200];
	long long function, first, second;

	fresh();
	function = deploy("a", "{\"runs\":\"every hour\"}");
	snprintf(text, sizeof(text), "SELECT make_syncs('{%lld}', '{%lld}', 'blue')", function,
		 (long long)rig_connection);
	check_int(rig_sql(text), ==, 1);
	check_int(rig_sql(text), ==, 0);
	first = rig_sql("SELECT id FROM sync");
	rig_sql("UPDATE sync SET last_success = now()");
	records_of("a", "Item::blue", 1, 30);
	rig_sql(
	    "INSERT INTO checkpoint SELECT connection_id, function_id, variant, 1, '{}' FROM sync");
	rig_sql("SELECT remove_sync(id) FROM sync");
	check_int(rig_sql("SELECT count(*) FROM schedule"), ==, 0);
	check_int(rig_sql("SELECT count(*) FROM checkpoint"), ==, 0);
	check_int(rig_sql(text), ==, 1);
	second = rig_sql("SELECT id FROM sync WHERE removed_at IS NULL AND last_success IS NULL");
	check_int(second, >, first);
	rig_sql(
	    "UPDATE record SET sync_id = (SELECT max(id) FROM sync) WHERE id < 'r2'"); /* saved again */
	remove_all();
	check_int(rig_sql("SELECT id FROM sync"), ==, second);
	check_int(rig_sql("SELECT count(*) FROM sync"), ==, 1);
	check_int(rig_sql("SELECT count(*) FROM record"), ==, 11);
	check_int(rig_sql("SELECT count(*) FROM schedule"), ==, 1);
}

int
main(void)
{
	struct pg_settings settings = {.name = "sluiced schedule"};

	rig_sync_start();
	settings.conninfo = rig_conninfo;
	store = schedule_store_new(rig_loop, &settings);
	other = schedule_store_new(rig_loop, &settings);
	CHECK_RUN(the_database_reads_every_interval_as_c_does);
	CHECK_RUN(the_next_slot_is_the_first_behind_a_moment_also_before_the_anchor);
	CHECK_RUN(
	    a_deploy_makes_the_syncs_of_all_connections_and_a_new_connection_those_of_all_functions);
	CHECK_RUN(two_that_make_the_same_syncs_make_them_once_in_pieces);
	CHECK_RUN(syncs_that_have_no_schedule_yet_get_one_whatever_their_variant);
	CHECK_RUN(another_frequency_moves_the_schedules_that_have_none_of_their_own);
	CHECK_RUN(a_run_that_is_due_is_accepted_with_the_next_slot_and_noted);
	CHECK_RUN(a_slot_is_left_out_while_a_run_is_open);
	CHECK_RUN(what_cannot_start_is_put_off_and_comes_later);
	CHECK_RUN(an_environment_gets_no_more_runs_than_it_has_room_for);
	CHECK_RUN(two_that_lead_at_once_do_each_slot_once);
	CHECK_RUN(what_somebody_else_has_locked_stays_due_and_is_not_waited_for);
	CHECK_RUN(jitter_comes_on_top_of_a_slot_and_stays_within_the_interval);
	CHECK_RUN(
	    a_clock_that_was_set_back_leaves_no_schedule_waiting_for_longer_than_its_interval);
	CHECK_RUN(what_is_due_is_found_by_its_index);
	CHECK_RUN(
	    a_function_that_is_removed_stops_at_once_and_leaves_in_pieces_with_what_its_syncs_saved);
	CHECK_RUN(a_variant_that_is_removed_can_be_made_again_at_once_and_starts_fresh);
	schedule_store_free(store);
	schedule_store_free(other);
	rig_sync_stop();
	return check_done();
}
