# sql/ - the ledger, and the only libpq code.

noinst_LIBRARIES += libsql.a

sql_migrations = \
	sql/migrations/0001_account.sql \
	sql/migrations/0002_function.sql \
	sql/migrations/0003_ledger.sql \
	sql/migrations/0004_routines.sql \
	sql/migrations/0005_idempotency.sql \
	sql/migrations/0006_leader.sql \
	sql/migrations/0007_sync.sql \
	sql/migrations/0008_cancel.sql \
	sql/migrations/0009_dead.sql \
	sql/migrations/0010_concurrency.sql \
	sql/migrations/0011_node.sql \
	sql/migrations/0012_steer.sql \
	sql/migrations/0013_schedule.sql \
	sql/migrations/0014_sync_lane.sql \
	sql/migrations/0015_sync_state.sql \
	sql/migrations/0016_record.sql \
	sql/migrations/0017_retention.sql \
	sql/migrations/0018_webhook.sql \
	sql/migrations/0019_event.sql \
	sql/migrations/0020_refresh.sql \
	sql/migrations/0021_secret.sql

libsql_a_SOURCES = \
	sql/account.c sql/account.h sql/account_rows.h \
	sql/account_concurrency.c \
	sql/account_connection.c \
	sql/account_environment.c \
	sql/account_function.c \
	sql/account_integration.c \
	sql/checkpoint.c sql/checkpoint.h \
	sql/refresh.c sql/refresh.h \
	sql/dead.c sql/dead.h sql/dead_store.h \
	sql/dead_quarantine.c \
	sql/delivery.c sql/delivery.h sql/delivery_store.h \
	sql/delivery_record.c \
	sql/delivery_show.c sql/delivery_show.h \
	sql/endpoint.c sql/endpoint.h \
	sql/health.c sql/health.h \
	sql/inspect.c sql/inspect.h \
	sql/inspect_sync.c sql/inspect_sync.h \
	sql/ledger.c sql/ledger.h sql/ledger_state.h \
	sql/ledger_cancel.c \
	sql/ledger_once.c \
	sql/ledger_read.c \
	sql/migrate.c sql/migrate.h sql/migrate_link.h sql/migrations.h \
	sql/node.c sql/node.h \
	sql/outbox.c sql/outbox.h \
	sql/pg.c sql/pg.h sql/pg_connect.c sql/pg_link.h \
	sql/reclaim.c sql/reclaim.h \
	sql/record.c sql/record.h sql/record_store.h \
	sql/record_clear.c \
	sql/record_count.c sql/record_count.h \
	sql/record_list.c \
	sql/record_recount.c sql/record_recount.h \
	sql/record_prune.c sql/record_prune.h \
	sql/record_retain.c sql/record_retain.h \
	sql/record_track.c \
	sql/resolve.c sql/resolve.h \
	sql/schedule.c sql/schedule.h \
	sql/schedule_steer.c sql/schedule_steer.h \
	sql/secret.c sql/secret.h sql/secret_store.h \
	sql/secret_first.c sql/secret_pass.c \
	sql/settle.c sql/settle.h sql/settle_state.h \
	sql/steer.c sql/steer.h \
	sql/settle_batch.c sql/settle_batch.h \
	sql/settle_claim.c \
	sql/settle_death.c \
	sql/settle_run.c \
	sql/settle_session.c \
	sql/sync.c sql/sync.h \
	sql/sync_accept.c \
	sql/sync_row.h \
	sql/sync_set.c sql/sync_set.h \
	sql/sync_store.c sql/sync_store.h \
	sql/sync_variant.c sql/sync_variant.h \
	sql/unit.c sql/unit.h \
	sql/value.c sql/value.h
nodist_libsql_a_SOURCES = sql/migrations.c
libsql_a_CFLAGS = $(AM_CFLAGS) $(LIBPQ_CFLAGS)

BUILT_SOURCES += sql/migrations.c
CLEANFILES += sql/migrations.c
EXTRA_DIST += $(sql_migrations) sql/embed.awk

# The migrations as C strings, in the order given; the number is the place in the list.
sql/migrations.c: $(sql_migrations) sql/embed.awk sql/local.mk
	$(AM_V_GEN)$(MKDIR_P) sql && cd $(srcdir) && \
	$(AWK) -f sql/embed.awk $(sql_migrations) >$(abs_builddir)/$@.tmp && \
	cd $(abs_builddir) && mv $@.tmp $@

# Tests against a real Postgres: SLUICE_TEST_DATABASE names it; without, they exit 77.
sql_tests = test_sql_migrate \
	test_sql_ledger \
	test_sql_pooled \
	test_sql_cancel \
	test_sql_dead \
	test_sql_settle \
	test_sql_account \
	test_sql_memory \
	test_sql_sync \
	test_sql_sync_set \
	test_sql_schedule \
	test_sql_record \
	test_sql_fence \
	test_sql_count \
	test_sql_delivery_show \
	test_sql_outbox \
	test_sql_refresh \
	test_sql_delivery \
	test_sql_prune \
	test_sql_retain \
	test_sql_reader
check_PROGRAMS += $(sql_tests)
TESTS += $(sql_tests)
sql_test_libs = libsql.a $(base_test_libs) $(LIBPQ_LIBS)
test_sql_migrate_SOURCES = tests/integration/test_sql_migrate.c tests/integration/sql_rig.h
test_sql_migrate_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_migrate_LDADD = $(sql_test_libs)
test_sql_ledger_SOURCES = tests/integration/test_sql_ledger.c
test_sql_ledger_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_ledger_LDADD = $(sql_test_libs)
test_sql_pooled_SOURCES = tests/integration/test_sql_pooled.c tests/integration/sql_rig.h
test_sql_pooled_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_pooled_LDADD = $(sql_test_libs)
test_sql_settle_SOURCES = tests/integration/test_sql_settle.c
test_sql_settle_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_settle_LDADD = $(sql_test_libs)
test_sql_account_SOURCES = tests/integration/test_sql_account.c
test_sql_account_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_account_LDADD = $(sql_test_libs)
test_sql_memory_SOURCES = tests/integration/test_sql_memory.c tests/integration/sql_rig.h
test_sql_memory_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_memory_LDADD = $(sql_test_libs)
test_sql_sync_SOURCES = tests/integration/test_sql_sync.c tests/integration/sync_rig.h
test_sql_sync_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_sync_LDADD = $(sql_test_libs)
test_sql_sync_set_SOURCES = tests/integration/test_sql_sync_set.c tests/integration/sync_rig.h
test_sql_sync_set_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_sync_set_LDADD = $(sql_test_libs)
test_sql_schedule_SOURCES = tests/integration/test_sql_schedule.c tests/integration/sync_rig.h
test_sql_schedule_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_schedule_LDADD = $(sql_test_libs)
test_sql_record_SOURCES = tests/integration/test_sql_record.c tests/integration/sync_rig.h
test_sql_record_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_record_LDADD = $(sql_test_libs)
test_sql_fence_SOURCES = tests/integration/test_sql_fence.c tests/integration/sync_rig.h
test_sql_fence_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_fence_LDADD = $(sql_test_libs)
test_sql_count_SOURCES = tests/integration/test_sql_count.c tests/integration/sync_rig.h
test_sql_count_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_count_LDADD = $(sql_test_libs)
test_sql_delivery_show_SOURCES = tests/integration/test_sql_delivery_show.c tests/integration/sql_rig.h
test_sql_delivery_show_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_delivery_show_LDADD = $(sql_test_libs)
test_sql_outbox_SOURCES = tests/integration/test_sql_outbox.c tests/integration/sync_rig.h
test_sql_outbox_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_outbox_LDADD = $(sql_test_libs)
test_sql_refresh_SOURCES = tests/integration/test_sql_refresh.c tests/integration/sql_rig.h
test_sql_refresh_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_refresh_LDADD = $(sql_test_libs)
test_sql_delivery_SOURCES = tests/integration/test_sql_delivery.c tests/integration/sync_rig.h
test_sql_delivery_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_delivery_LDADD = $(sql_test_libs)
test_sql_prune_SOURCES = tests/integration/test_sql_prune.c tests/integration/sync_rig.h
test_sql_prune_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_prune_LDADD = $(sql_test_libs)
test_sql_retain_SOURCES = tests/integration/test_sql_retain.c tests/integration/sync_rig.h
test_sql_retain_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_retain_LDADD = $(sql_test_libs)
test_sql_reader_SOURCES = tests/integration/test_sql_reader.c tests/integration/sync_rig.h
test_sql_reader_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_reader_LDADD = $(sql_test_libs)
test_sql_cancel_SOURCES = tests/integration/test_sql_cancel.c tests/integration/sql_rig.h
test_sql_cancel_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_cancel_LDADD = $(sql_test_libs)
test_sql_dead_SOURCES = tests/integration/test_sql_dead.c tests/integration/sql_rig.h
test_sql_dead_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
test_sql_dead_LDADD = $(sql_test_libs)
