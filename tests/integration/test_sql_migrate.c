#include "tests/integration/sql_rig.h"

static struct sl_error error;
static int applied;

static void
an_empty_database_is_too_old(void)
{
	check_int(migrate_check(rig_conninfo, &error), ==, SL_INVALID);
	check(strstr(error.text, "--migrate") != NULL);
}

static void
all_migrations_are_applied_once(void)
{
	check_int(migrate_apply(rig_conninfo, &applied, &error), ==, SL_OK);
	check_int(applied, ==, migrate_version());
	check_int(rig_sql("SELECT count(*) FROM schema_migration"), ==, migrate_version());
	check_int(migrate_apply(rig_conninfo, &applied, &error), ==, SL_OK);
	check_int(applied, ==, 0);
	check_int(migrate_check(rig_conninfo, &error), ==, SL_OK);
}

static void
the_partitions_of_five_days_are_there(void)
{
	check_int(rig_sql("SELECT count(*) FROM pg_inherits"
			  " WHERE inhparent = 'job'::regclass"),
		  ==, 6);
	check_int(rig_sql("SELECT count(*) FROM pg_inherits WHERE inhparent IN"
			  " ('attempt'::regclass, 'result'::regclass, 'retry'::regclass)"),
		  ==, 18);
	check_int(rig_sql("SELECT add_partitions(-1, 3)"), ==, 0);
}

static void
a_day_with_rows_in_the_default_partition_is_left_alone(void)
{
	rig_sql("INSERT INTO result (job_id, attempt, state, session_id)"
		" SELECT uuid_day(current_date + 20), 1, 1, 1");
	check_int(rig_sql("SELECT add_partitions(19, 21)"), ==, 2);
	check_int(rig_sql("SELECT count(*) FROM result_default"), ==, 1);
	rig_sql("DELETE FROM result");
}

static void
a_day_starts_at_its_smallest_uuid(void)
{
	check_int(rig_sql("SELECT (uuid_day('2026-11-22')"
			  " = '019aa8e5-8c00-0000-0000-000000000000'::uuid)::int"),
		  >=, 0);
	check_int(
	    rig_sql("SELECT (('x' || replace(left(uuid_day('2026-11-22')::text, 13), '-', ''))"
		    "::bit(48)::bigint = extract(epoch FROM date '2026-11-22') * 1000)::int"),
	    ==, 1);
}

static void
a_newer_schema_is_refused(void)
{
	rig_sql("INSERT INTO schema_migration (version, name) VALUES (9999, '9999_later')");
	check_int(migrate_check(rig_conninfo, &error), ==, SL_CONFLICT);
	check_int(migrate_apply(rig_conninfo, &applied, &error), ==, SL_CONFLICT);
	check_int(applied, ==, 0);
	rig_sql("DELETE FROM schema_migration WHERE version = 9999");
	check_int(migrate_check(rig_conninfo, &error), ==, SL_OK);
}

static void
a_migration_that_fails_leaves_nothing_and_is_named(void)
{
	rig_sql("DROP TABLE schema_migration");
	check_int(migrate_apply(rig_conninfo, &applied, &error), ==, SL_INTERNAL);
	check(strstr(error.text, "0001_account") != NULL);
	check_int(rig_sql("SELECT count(*) FROM schema_migration"), ==, 0);
}

static void
no_server_is_unavailable(void)
{
	check_int(migrate_check("host=/nonexistent dbname=x", &error), ==, SL_UNAVAILABLE);
}

static void
an_error_never_holds_the_password(void)
{
	static const char *const bad[] = {
	    "postgresql://me:hunter2secret@[broken/db",
	    "host=/nonexistent password=hunter2secret",
	    "password=hunter2 hunter2secret",
	    "postgresql://me:hunter2secret%zz@localhost/x",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		check_int(migrate_check(bad[i], &error), ==, SL_UNAVAILABLE);
		check(strstr(error.text, "hunter2") == NULL);
	}
}

int
main(void)
{
	rig_start();
	CHECK_RUN(an_empty_database_is_too_old);
	CHECK_RUN(all_migrations_are_applied_once);
	CHECK_RUN(the_partitions_of_five_days_are_there);
	CHECK_RUN(a_day_with_rows_in_the_default_partition_is_left_alone);
	CHECK_RUN(a_day_starts_at_its_smallest_uuid);
	CHECK_RUN(a_newer_schema_is_refused);
	CHECK_RUN(a_migration_that_fails_leaves_nothing_and_is_named);
	CHECK_RUN(no_server_is_unavailable);
	CHECK_RUN(an_error_never_holds_the_password);
	rig_stop();
	return check_done();
}
