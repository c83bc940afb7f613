/* tests/integration/sql_rig.h - a database of its own for each test program, and a loop to wait on.
 *
 * SLUICE_TEST_DATABASE is the conninfo of a server where databases may be created; without it the
 * program skips (exit 77). */
#ifndef SLUICE_TESTS_SQL_RIG_H
#define SLUICE_TESTS_SQL_RIG_H

#include <errno.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "sql/migrate.h"
#include "sql/pg.h"
#include "tests/lib/check.h"

#define RIG_WAIT_MS 20000

static struct loop *rig_loop;
static char *rig_conninfo; /* of the program's own database */
static char rig_database[64];
static PGconn *rig_admin, *rig_direct;

/* base with another database, whatever form it has. */
static char *
rig_with_database(const char *base, const char *database)
{
	PQconninfoOption *options = PQconninfoParse(base, NULL);
	struct buf out;
	char *text;

	buf_init(&out, 8192);
	for (const PQconninfoOption *it = options; it != NULL && it->keyword != NULL; it++) {
		if (it->val == NULL || strcmp(it->keyword, "dbname") == 0)
			continue;
		buf_printf(&out, "%s='", it->keyword);
		for (const char *c = it->val; *c != '\0'; c++) {
			if (*c == '\'' || *c == '\\')
				buf_add_char(&out, '\\');
			buf_add_char(&out, *c);
		}
		buf_add_text(&out, "' ");
	}
	PQconninfoFree(options);
	buf_printf(&out, "dbname='%s'", database);
	text = buf_take(&out, NULL);
	return text;
}

static void
rig_must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "rig: %s\n", what);
	exit(99);
}

/* Runs SQL on the test database, outside of the code under test; the first value as a number. */
static long long
rig_sql(const char *text)
{
	PGresult *result = PQexec(rig_direct, text);
	long long number = 0;

	if (PQresultStatus(result) != PGRES_TUPLES_OK &&
	    PQresultStatus(result) != PGRES_COMMAND_OK) {
		fprintf(stderr, "rig: %s: %s\n", text, PQerrorMessage(rig_direct));
		exit(99);
	}
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0 &&
	    PQnfields(result) > 0)
		number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return number;
}

static void
rig_start(void)
{
	const char *base = getenv("SLUICE_TEST_DATABASE");
	char text[128];

	if (base == NULL || base[0] == '\0') {
		printf("1..0 # skip SLUICE_TEST_DATABASE is not set\n");
		exit(77);
	}
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(rig_database, sizeof(rig_database), "sluice_test_%d", (int)getpid());
	rig_admin = PQconnectdb(base);
	rig_must(PQstatus(rig_admin) == CONNECTION_OK, "no connection to SLUICE_TEST_DATABASE");
	snprintf(text, sizeof(text), "CREATE DATABASE %s", rig_database);
	PQclear(PQexec(rig_admin, text));
	rig_conninfo = rig_with_database(base, rig_database);
	rig_direct = PQconnectdb(rig_conninfo);
	rig_must(PQstatus(rig_direct) == CONNECTION_OK, "no connection to the test database");
	rig_sql("SET client_min_messages = warning");
	rig_loop = loop_new();
}

static inline void
rig_migrate(void)
{
	struct sl_error error;
	int applied;

	if (migrate_apply(rig_conninfo, &applied, &error) != SL_OK) {
		fprintf(stderr, "rig: %s\n", error.text);
		exit(99);
	}
}

static void
rig_stop(void)
{
	char text[128];

	loop_free(rig_loop);
	PQfinish(rig_direct);
	snprintf(text, sizeof(text), "DROP DATABASE %s WITH (FORCE)", rig_database);
	PQclear(PQexec(rig_admin, text));
	PQfinish(rig_admin);
	free(rig_conninfo);
}

/* Turns the loop until condition holds; a test that waits for ever fails here. */
#define rig_until(condition)                                     \
	do {                                                     \
		int64_t rig_end = clock_mono_ms() + RIG_WAIT_MS; \
		while (!(condition)) {                           \
			check(clock_mono_ms() < rig_end);        \
			loop_turn(rig_loop, 20);                 \
		}                                                \
	} while (0)

static inline void
rig_turns(int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (clock_mono_ms() < end)
		loop_turn(rig_loop, 5);
}

/* Waits until a server process has ended; it says before what it read.  The servers of tests run on this
 * machine, and inside a transaction pg_stat_activity would not change. */
static inline void
rig_until_gone(pid_t pid)
{
	const struct timespec nap = {.tv_nsec = 5 * 1000000L};

	for (int i = 0; kill(pid, 0) == 0 || errno != ESRCH; i++) {
		rig_must(i < 4000, "a server process does not end");
		(void)nanosleep(&nap, NULL);
	}
}

static inline long long
rig_cut_some(const char *name, bool wait)
{
	char text[256];
	PGresult *result;
	int count;

	snprintf(text, sizeof(text),
		 "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity"
		 " WHERE application_name LIKE '%s%%' AND datname = current_database()",
		 name);
	result = PQexec(rig_direct, text);
	rig_must(PQresultStatus(result) == PGRES_TUPLES_OK, "the connections cannot be cut");
	count = PQntuples(result);
	for (int i = 0; i < count && wait; i++)
		rig_until_gone((pid_t)strtol(PQgetvalue(result, i, 0), NULL, 10));
	PQclear(result);
	return count;
}

/* Ends the server side of every connection whose name begins with name; returns how many. */
static inline long long
rig_cut(const char *name)
{
	return rig_cut_some(name, false);
}

/* How many rows all tables and indexes have given so far.  Server processes say what they have read when
 * they end: ours, and with all those of the code under test. */
static inline long long
rig_rows_read(bool all)
{
	pid_t pid = PQbackendPID(rig_direct);

	if (all && rig_cut_some("sluiced", true) > 0)
		rig_turns(300); /* the code under test notices, and connects again */
	PQreset(rig_direct);
	rig_sql("SET client_min_messages = warning");
	rig_until_gone(pid);
	return rig_sql(
	    "SELECT sum(n)::bigint FROM (SELECT seq_tup_read AS n FROM pg_stat_user_tables"
	    " UNION ALL SELECT idx_tup_read FROM pg_stat_user_indexes) t");
}

#endif
