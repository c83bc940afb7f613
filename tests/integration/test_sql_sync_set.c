/* tests/integration/test_sql_sync_set.c - sql/sync_set, schedule_steer, sync_variant. */
#include "sql/sync_set.h"

#include "sql/schedule_steer.h"
#include "sql/sync_variant.h"
#include "tests/integration/sync_rig.h"

#define MANY 300 /* connections: more than a page has */

static struct sync_place next;
static bool more;
static int row_count;
static int64_t newest_id;
static char shown[8][200], job[64], declared[64];
static int64_t found, changed;

static long long
number(const char *format, int64_t id)
{
	char text[500];

	snprintf(text, sizeof(text), format, (long long)id);
	return rig_sql(text);
}

static int64_t
new_sync(const char *name, const char *definition)
{
	int64_t id = rig_new_function("sync", name);
	char text[300];

	snprintf(text, sizeof(text), "UPDATE function_version SET definition = '%s'", definition);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), " WHERE function_id = %lld",
		 (long long)id);
	rig_sql(text);
	number("UPDATE function SET version_id = (SELECT id FROM function_version"
	       " WHERE function_id = function.id) WHERE id = %lld",
	       id);
	return id;
}

/* ---- pages ------------------------------------------------------------------------------------ */

static void
on_page(void *arg, enum sl_code code, const struct sync_page_row *rows, int count,
	const struct sync_place *place, bool is_more, const struct sl_error *error)
{
	(void)arg;
	row_count = count;
	next = *place;
	more = is_more;
	for (int i = 0; i < count && i < 8; i++)
		snprintf(shown[i], sizeof(shown[i]), "%s %s/%s %s", rows[i].connection,
			 rows[i].row.name, rows[i].row.variant, rows[i].checkpoint);
	newest_id = count > 0 ? rows[count - 1].row.id : 0;
	rig_answered(code, error);
}

static void
page(const struct sync_set *set, const struct sync_place *after)
{
	static const struct sync_place first;

	CALL(SL_OK, sync_set_page(rig_store, set, after != NULL ? after : &first, on_page, NULL));
}

static void
a_page_makes_what_is_missing_and_goes_by_connection_name_and_variant(void)
{
	int64_t zebra = new_sync("zebra", "{\"runs\":\"every hour\",\"auto_start\":false}");
	const struct sync_pick picks[] = {{zebra, NULL}, {rig_function, NULL}};
	const struct sync_set one = {RIG_INTEGRATION, rig_connection, picks, 2};
	const struct sync_set all = {RIG_INTEGRATION, 0, picks, 2};
	const struct sync_set none = {RIG_INTEGRATION, 0, NULL, 0};

	page(&one, NULL);
	check_int(row_count, ==, 2);
	check_text(shown[0], "one contacts/base null");
	check_text(shown[1], "one zebra/base null");
	check(!more);
	page(&all, NULL);
	check_int(row_count, ==, 4);
	check_text(shown[2], "two contacts/base null");
	check_text(shown[3], "two zebra/base null");
	page(&none, NULL);
	check_int(row_count, ==, 0);
	check_int(rig_sql("SELECT count(*) FROM sync"), ==, 4);
	check_int(rig_sql("SELECT count(*) FROM schedule"), ==, 4);
	check_int(number("SELECT count(*) FROM schedule h JOIN sync s ON s.id = h.sync_id"
			 " WHERE NOT h.started AND s.function_id = %lld",
			 zebra),
		  ==, 2);
}

static void
on_made(void *arg, enum sl_code code, const struct sync_row *rows, int count,
	const struct sl_error *error)
{
	(void)arg;
	check_int(count, ==, code == SL_OK);
	newest_id = count > 0 ? rows[0].id : 0;
	rig_answered(code, error);
}

static void
make(enum sl_code code, const char *variant)
{
	CALL(code,
	     sync_variant_create(rig_store, rig_function, rig_connection, variant, on_made, NULL));
}

static void
a_page_has_picked_variants_and_their_checkpoints(void)
{
	struct sync_pick picks[] = {{rig_function, "x"}, {rig_function, "unknown"}};
	struct sync_set set = {RIG_INTEGRATION, rig_connection, picks, 2};

	make(SL_OK, "x");
	number("INSERT INTO checkpoint (connection_id, function_id, variant, version, value)"
	       " SELECT connection_id, function_id, variant, 1, '{\"n\":1}' FROM sync"
	       " WHERE id = %lld",
	       newest_id);
	page(&set, NULL);
	check_int(row_count, ==, 1);
	check_text(shown[0], "one contacts/x {\"n\":1}");
	picks[0].variant = NULL;
	page(&set, NULL);
	check_int(row_count, ==, 2);
	check_text(shown[0], "one contacts/base null");
	check_text(shown[1], "one contacts/x {\"n\":1}");
}

static int
rows_of_pages(const struct sync_set *set, int *pages)
{
	struct sync_place after;
	int rows;

	page(set, NULL);
	rows = row_count;
	for (*pages = 1; more; (*pages)++) {
		after = next;
		page(set, &after);
		rows += row_count;
	}
	return rows;
}

static void
pages_follow_each_other_without_gap_or_repeat(void)
{
	const struct sync_pick picks[] = {{rig_function, NULL},
					  {new_sync("second", "{\"runs\":\"1h\"}"), NULL}};
	struct sync_set set = {RIG_INTEGRATION, 0, picks, 2};
	int pages;

	number("INSERT INTO connection (environment_id, integration_id, connection_id, credentials,"
	       " seal_row, connection_config, metadata, tags, end_user, webhook_url_override)"
	       " SELECT 1, 1, 'many-' || i, '', '', '{}', '{}', '{}', '{}', ''"
	       " FROM generate_series(1, %lld) i",
	       MANY);
	check_int(rows_of_pages(&set, &pages), ==, 2 * (MANY + 2) + 1); /* and the variant */
	check_int(pages, ==, 2); /* the first ends within a connection */
	set.pick_count = 1;
	check_int(rows_of_pages(&set, &pages), ==, MANY + 2 + 1);
	check_int(pages, ==, 2); /* the first ends behind a connection */
	rig_sql("DELETE FROM connection WHERE connection_id LIKE 'many-%'");
}

/* ---- start, pause ----------------------------------------------------------------------------- */

static void
on_steered(void *arg, enum sl_code code, int64_t is_found, int64_t is_changed,
	   const struct sl_error *error)
{
	(void)arg;
	found = is_found;
	changed = is_changed;
	rig_answered(code, error);
}

static void
steer(bool start, const struct sync_set *set, int64_t wants_found, int64_t wants_changed)
{
	if (start)
		CALL(SL_OK, schedule_start(rig_store, set, on_steered, NULL));
	else
		CALL(SL_OK, schedule_pause(rig_store, set, on_steered, NULL));
	check_int(found, ==, wants_found);
	check_int(changed, ==, wants_changed);
}

static void
a_pause_holds_what_is_named_and_a_start_goes_on_in_the_old_slots(void)
{
	int64_t hourly = new_sync("hourly", "{\"runs\":\"every hour\"}");
	const struct sync_pick pick = {hourly, "base"};
	const struct sync_set one = {RIG_INTEGRATION, rig_connection, &pick, 1};
	const struct sync_set all = {RIG_INTEGRATION, 0, &pick, 1};
	const char *slots = "SELECT count(*) FROM schedule h JOIN sync s ON s.id = h.sync_id"
			    " WHERE s.function_id = %lld AND h.started"
			    " AND h.next_run_at = h.anchor + interval '2 hours'";

	steer(false, &one, 1, 1); /* made, and paused before anybody could run it */
	steer(false, &one, 1, 0);
	steer(false, &all, 2, 1);
	check_int(number("SELECT count(*) FROM schedule h JOIN sync s ON s.id = h.sync_id"
			 " WHERE s.function_id = %lld AND NOT h.started AND h.next_run_at IS NULL",
			 hourly),
		  ==, 2);
	number("UPDATE schedule h SET anchor = now() - interval '90 minutes' FROM sync s"
	       " WHERE s.id = h.sync_id AND s.function_id = %lld",
	       hourly);
	steer(true, &one, 1, 1);
	check_int(number(slots, hourly), ==, 1);
	steer(true, &all, 2, 1);
	check_int(number(slots, hourly), ==, 2);
	steer(true, &all, 2, 0);
}

static void
a_start_leaves_a_run_that_is_due_and_what_never_runs_by_itself(void)
{
	int64_t rare = new_sync("rare", "{\"runs\":null,\"auto_start\":false}");
	int64_t due = new_sync("due", "{\"runs\":\"every hour\"}");
	const struct sync_pick picks[] = {{rare, NULL}, {due, NULL}, {999, NULL}};
	const struct sync_set set = {RIG_INTEGRATION, rig_connection, picks, 3};
	const struct sync_set none = {RIG_INTEGRATION, rig_connection, &picks[2], 1};

	steer(true, &set, 2, 1); /* the other is started by its definition */
	check_int(number("SELECT count(*) FROM schedule h JOIN sync s ON s.id = h.sync_id"
			 " WHERE s.function_id = %lld AND h.started AND h.next_run_at IS NULL",
			 rare),
		  ==, 1);
	check_int(number("SELECT count(*) FROM schedule h JOIN sync s ON s.id = h.sync_id"
			 " WHERE s.function_id = %lld AND h.next_run_at <= now()",
			 due),
		  ==, 1);
	steer(true, &none, 0, 0);
}

static void
a_removed_sync_is_neither_listed_nor_steered(void)
{
	const struct sync_pick pick = {new_sync("goes", "{\"runs\":\"1h\"}"), NULL};
	const struct sync_set set = {RIG_INTEGRATION, rig_connection, &pick, 1};

	steer(false, &set, 1, 1);
	number("SELECT remove_sync(id) FROM sync WHERE function_id = %lld", pick.function_id);
	number("UPDATE function SET deleted_at = now() WHERE id = %lld", pick.function_id);
	steer(true, &set, 0, 0);
	page(&set, NULL);
	check_int(row_count, ==, 0);
}

/* ---- frequency -------------------------------------------------------------------------------- */

static void
on_frequency(void *arg, enum sl_code code, const char *text, const struct sl_error *error)
{
	(void)arg;
	snprintf(declared, sizeof(declared), "%s", text);
	rig_answered(code, error);
}

static void
a_frequency_of_its_own_moves_the_next_slot_and_null_brings_the_declared_one_back(void)
{
	const struct sync_pick pick = {new_sync("often", "{\"runs\":\"every hour\"}"), "base"};
	const struct sync_pick other = {pick.function_id, "none"};
	struct sync_set set = {RIG_INTEGRATION, rig_connection, &pick, 1};
	const char *is = "SELECT count(*) FROM schedule h JOIN sync s ON s.id = h.sync_id"
			 " WHERE s.function_id = %lld";
	char text[600];

	steer(true, &set, 1, 0);
	number("UPDATE schedule h SET anchor = now() - interval '90 minutes',"
	       " next_run_at = now() + interval '30 minutes' FROM sync s"
	       " WHERE s.id = h.sync_id AND s.function_id = %lld",
	       pick.function_id);
	CALL(SL_OK, schedule_frequency(rig_store, &set, "25m", on_frequency, NULL));
	check_text(declared, "every hour");
	snprintf(text, sizeof(text),
		 "%s AND h.frequency = '25m' AND h.every_ms = 1500000"
		 " AND h.next_run_at = h.anchor + interval '100 minutes'",
		 is);
	check_int(number(text, pick.function_id), ==, 1);
	CALL(SL_OK, schedule_frequency(rig_store, &set, NULL, on_frequency, NULL));
	snprintf(text, sizeof(text),
		 "%s AND h.frequency IS NULL AND h.every_ms = 3600000"
		 " AND h.next_run_at = h.anchor + interval '2 hours'",
		 is);
	check_int(number(text, pick.function_id), ==, 1);
	number("UPDATE schedule h SET next_run_at = now() - interval '1 second' FROM sync s"
	       " WHERE s.id = h.sync_id AND s.function_id = %lld",
	       pick.function_id);
	CALL(SL_OK, schedule_frequency(rig_store, &set, "5m", on_frequency, NULL));
	snprintf(text, sizeof(text), "%s AND h.next_run_at < now()", is); /* due is due */
	check_int(number(text, pick.function_id), ==, 1);
	steer(false, &set, 1, 1);
	snprintf(text, sizeof(text), "%s AND h.every_ms = 300000 AND h.next_run_at IS NULL", is);
	check_int(number(text, pick.function_id), ==, 1);
	set.picks = &other;
	CALL(SL_NOT_FOUND, schedule_frequency(rig_store, &set, "5m", on_frequency, NULL));
}

/* How often the scheduler was told since the last time. */
static int
told(void)
{
	PGnotify *it;
	int count = 0;

	rig_sql("SELECT 1"); /* what was told before has come */
	while ((it = PQnotifies(rig_direct)) != NULL) {
		count += strcmp(it->relname, "sluice_schedule") == 0;
		PQfreemem(it);
	}
	return count;
}

static void
the_scheduler_is_told_of_what_changes_and_of_nothing_else(void)
{
	const struct sync_pick pick = {new_sync("told", "{\"runs\":\"every hour\"}"), "base"};
	const struct sync_set set = {RIG_INTEGRATION, rig_connection, &pick, 1};

	steer(true, &set, 1, 0);
	rig_sql("LISTEN sluice_schedule");
	told();
	steer(false, &set, 1, 1);
	check_int(told(), ==, 1);
	steer(false, &set, 1, 0);
	check_int(told(), ==, 0);
	steer(true, &set, 1, 1);
	check_int(told(), ==, 1);
	CALL(SL_OK, schedule_frequency(rig_store, &set, "2h", on_frequency, NULL));
	check_int(told(), ==, 1);
	rig_sql("UNLISTEN *");
}

/* ---- variants --------------------------------------------------------------------------------- */

static void
on_removed(void *arg, enum sl_code code, const char *job_id, const struct sl_error *error)
{
	(void)arg;
	snprintf(job, sizeof(job), "%s", job_id);
	rig_answered(code, error);
}

static void
drop(enum sl_code code, const char *variant)
{
	CALL(code, sync_variant_delete(rig_store, rig_function, rig_connection, variant, on_removed,
				       NULL));
}

static void
a_variant_is_made_once_with_a_schedule_of_its_own(void)
{
	make(SL_OK, "mine");
	check_int(
	    number("SELECT count(*) FROM schedule WHERE started AND sync_id = %lld", newest_id), ==,
	    1);
	make(SL_CONFLICT, "mine");
	make(SL_CONFLICT, "base");
	CALL(SL_NOT_FOUND,
	     sync_variant_create(rig_store, 999, rig_connection, "mine", on_made, NULL));
	CALL(SL_NOT_FOUND,
	     sync_variant_create(rig_store, rig_function, rig_foreign, "mine", on_made, NULL));
	drop(SL_OK, "mine");
	check_text(job, "");
	drop(SL_NOT_FOUND, "mine");
	CALL(SL_NOT_FOUND,
	     sync_variant_delete(rig_store, 999, rig_connection, "x", on_removed, NULL));
}

static void
one_of_that_name_that_still_goes_is_waited_for(void)
{
	make(SL_UNAVAILABLE, "mine");
	make(SL_OK, "min");
	drop(SL_OK, "min");
	rig_sql("DELETE FROM sync WHERE removed_at IS NOT NULL");
	make(SL_OK, "mine");
}

static void
a_deleted_variant_names_the_run_that_is_open_and_takes_no_other(void)
{
	static const char run[] = "01890000-0000-7000-8000-0000000000aa";
	int64_t id;

	make(SL_OK, "busy");
	id = newest_id;
	CALL(SL_OK, rig_accept(rig_store, id, run, false, rig_on_accepted));
	drop(SL_OK, "busy");
	check_text(job, run);
	CALL(SL_NOT_FOUND, rig_accept(rig_store, id, "01890000-0000-7000-8000-0000000000ab", false,
				      rig_on_accepted));
	check_int(number("SELECT count(*) FROM schedule WHERE sync_id = %lld", id), ==, 0);
}

static void
a_sync_has_a_hundred_variants_beside_its_base(void)
{
	char name[24];
	int64_t have = number("SELECT count(*) FROM sync WHERE function_id = %lld"
			      " AND connection_id = 1 AND removed_at IS NULL AND variant <> 'base'",
			      rig_function);

	for (int64_t i = have; i < SYNC_VARIANTS_MAX; i++) {
		snprintf(name, sizeof(name), "v%lld", (long long)i);
		make(SL_OK, name);
	}
	make(SL_EXHAUSTED, "over");
	make(SL_CONFLICT, "v99");
	drop(SL_OK, "v99");
	make(SL_OK, "over");
}

/* ---- plans ------------------------------------------------------------------------------------ */

static void
what_is_asked_of_one_connection_reads_no_others(void)
{
	const struct sync_pick pick = {new_sync("plan", "{\"runs\":\"1h\"}"), "base"};
	const struct sync_set one = {RIG_INTEGRATION, rig_second, &pick, 1};
	long long before = 0;

	rig_rows_read(true); /* with the connection ends what the tests above have read */
	rig_until(sync_store_is_up(rig_store));
	rig_sql("VACUUM ANALYZE");
	for (int round = 0; round < 2; round++) {
		if (round == 1) {
			rig_sql("INSERT INTO connection (environment_id, integration_id,"
				" connection_id, credentials, seal_row, connection_config,"
				" metadata, tags, end_user, webhook_url_override) SELECT 1, 1,"
				" 'many' || n, '', '', '{}', '{}', '{}', '{}', ''"
				" FROM generate_series(1, 5000) n");
			number("SELECT make_syncs(ARRAY[%lld::bigint],"
			       " ARRAY(SELECT id FROM connection), 'base')",
			       pick.function_id);
			before = rig_rows_read(false);
		}
		page(&one, NULL);
		check_int(row_count, ==, 1);
		steer(false, &one, 1, 1);
		steer(true, &one, 1, 1);
		CALL(SL_OK, schedule_frequency(rig_store, &one, "2h", on_frequency, NULL));
	}
	check_int(rig_rows_read(true) - before, <, 500);
	rig_sql("DELETE FROM connection WHERE connection_id LIKE 'many%'");
	rig_until(sync_store_is_up(rig_store));
}

int
main(void)
{
	rig_sync_start();
	rig_sql("UPDATE function_version SET definition = '{\"runs\":\"every 5 minutes\"}'");
	CHECK_RUN(a_page_makes_what_is_missing_and_goes_by_connection_name_and_variant);
	CHECK_RUN(a_page_has_picked_variants_and_their_checkpoints);
	CHECK_RUN(pages_follow_each_other_without_gap_or_repeat);
	CHECK_RUN(a_pause_holds_what_is_named_and_a_start_goes_on_in_the_old_slots);
	CHECK_RUN(a_start_leaves_a_run_that_is_due_and_what_never_runs_by_itself);
	CHECK_RUN(a_removed_sync_is_neither_listed_nor_steered);
	CHECK_RUN(a_frequency_of_its_own_moves_the_next_slot_and_null_brings_the_declared_one_back);
	CHECK_RUN(the_scheduler_is_told_of_what_changes_and_of_nothing_else);
	CHECK_RUN(a_variant_is_made_once_with_a_schedule_of_its_own);
	CHECK_RUN(one_of_that_name_that_still_goes_is_waited_for);
	CHECK_RUN(a_deleted_variant_names_the_run_that_is_open_and_takes_no_other);
	CHECK_RUN(a_sync_has_a_hundred_variants_beside_its_base);
	CHECK_RUN(what_is_asked_of_one_connection_reads_no_others);
	rig_sync_stop();
	return check_done();
}
