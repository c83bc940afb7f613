#include "sql/migrate.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sql/migrate_link.h"
#include "sql/migrations.h"
#include "sql/value.h"

/* Two nodes that start at once: the second waits for the first, then finds nothing to do.  The lock
 * is the connection's (not a transaction's), so it spans all migrations. */
#define MIGRATE_LOCK "SET lock_timeout = '60s'; SELECT pg_advisory_lock(1397511491, 1)"

static const char migrate_table[] =
    "CREATE TABLE IF NOT EXISTS schema_migration (version int PRIMARY KEY, name text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now())";

int
migrate_version(void)
{
	int count = 0;

	while (migrations[count].name != NULL)
		count++;
	return count;
}

static void
migrate_on_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

/* What libpq says about a string it cannot parse quotes it, and there may be a password in it. */
enum sl_code
migrate_connect(const char *conninfo, PGconn **out, struct sl_error *error)
{
	const char *keywords[] = {"target_session_attrs", "connect_timeout", "dbname",
				  "application_name",     "client_encoding", NULL};
	const char *values[] = {"read-write", "10", conninfo, "sluiced migrate", "UTF8", NULL};
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	PGconn *conn;

	if (options == NULL)
		return sl_fail(error, SL_UNAVAILABLE,
			       "postgres: the connection string cannot be parsed");
	PQconninfoFree(options);
	conn = PQconnectdbParams(keywords, values, 1);
	if (conn == NULL || PQstatus(conn) != CONNECTION_OK) {
		sl_fail(error, SL_UNAVAILABLE, "postgres: %s",
			conn == NULL ? "out of memory" : PQerrorMessage(conn));
		PQfinish(conn);
		return SL_UNAVAILABLE;
	}
	PQsetNoticeProcessor(conn, migrate_on_notice, NULL);
	*out = conn;
	return SL_OK;
}

/* Runs text (several statements are fine); what names it in the error. */
static enum sl_code
migrate_run(PGconn *conn, const char *text, const char *what, struct sl_error *error)
{
	PGresult *result = PQexec(conn, text);
	ExecStatusType status = PQresultStatus(result);

	PQclear(result);
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return SL_OK;
	return sl_fail(error, PQstatus(conn) == CONNECTION_OK ? SL_INTERNAL : SL_UNAVAILABLE,
		       "postgres: %s: %s", what, PQerrorMessage(conn));
}

/* The first value of the answer as a number; null reads as 0. */
static enum sl_code
migrate_number(PGconn *conn, const char *text, const char *what, int *number,
	       struct sl_error *error)
{
	PGresult *result = PQexecParams(conn, text, 0, NULL, NULL, NULL, NULL, 1);
	bool ok = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;

	*number = ok ? (int)value_int(result, 0, 0) : 0;
	PQclear(result);
	if (ok)
		return SL_OK;
	return sl_fail(error, PQstatus(conn) == CONNECTION_OK ? SL_INTERNAL : SL_UNAVAILABLE,
		       "postgres: %s: %s", what, PQerrorMessage(conn));
}

/* The version of the schema that is there: 0 when there is none. */
static enum sl_code
migrate_current(PGconn *conn, int *version, struct sl_error *error)
{
	int exists;
	enum sl_code code =
	    migrate_number(conn, "SELECT (to_regclass('schema_migration') IS NOT NULL)::int",
			   "schema version", &exists, error);

	*version = 0;
	if (code != SL_OK || exists == 0)
		return code;
	return migrate_number(conn, "SELECT max(version) FROM schema_migration", "schema version",
			      version, error);
}

static enum sl_code
migrate_newer(int version, struct sl_error *error)
{
	return sl_fail(error, SL_CONFLICT,
		       "the schema is at version %d, this build knows %d: start a newer build",
		       version, migrate_version());
}

static enum sl_code
migrate_one(PGconn *conn, int version, struct sl_error *error)
{
	const struct migration *it = &migrations[version - 1];
	enum sl_code code = migrate_run(conn, "BEGIN", it->name, error);
	char record[200];

	/* Names are our own file names: letters, digits and underscores. */
	snprintf(record, sizeof(record),
		 "INSERT INTO schema_migration (version, name) VALUES (%d, '%s'); COMMIT", version,
		 it->name);
	if (code == SL_OK)
		code = migrate_run(conn, it->text, it->name, error);
	if (code == SL_OK)
		code = migrate_run(conn, record, it->name, error);
	if (code == SL_OK)
		log_info("migration_applied", "version=%d name=%s", version, it->name);
	return code;
}

static enum sl_code
migrate_all(PGconn *conn, int *applied, struct sl_error *error)
{
	int version;
	enum sl_code code = migrate_run(conn, MIGRATE_LOCK, "waiting for another migration", error);

	if (code == SL_OK)
		code = migrate_run(conn, migrate_table, "schema_migration", error);
	if (code == SL_OK)
		code = migrate_current(conn, &version, error);
	if (code != SL_OK)
		return code;
	if (version > migrate_version())
		return migrate_newer(version, error);
	while (version < migrate_version()) {
		code = migrate_one(conn, ++version, error);
		if (code != SL_OK)
			return code;
		++*applied;
	}
	/* The days to come, in case no scheduler ran for a while. */
	return migrate_run(conn, "SELECT add_partitions(-1, 3)", "partitions", error);
}

enum sl_code
migrate_apply(const char *conninfo, int *applied, struct sl_error *error)
{
	PGconn *conn;
	enum sl_code code = migrate_connect(conninfo, &conn, error);

	*applied = 0;
	if (code != SL_OK)
		return code;
	code = migrate_all(conn, applied, error);
	PQfinish(conn); /* ends the lock, and the transaction of a migration that failed */
	return code;
}

enum sl_code
migrate_check(const char *conninfo, struct sl_error *error)
{
	PGconn *conn;
	int version;
	enum sl_code code = migrate_connect(conninfo, &conn, error);

	if (code != SL_OK)
		return code;
	code = migrate_current(conn, &version, error);
	PQfinish(conn);
	if (code != SL_OK)
		return code;
	if (version > migrate_version())
		return migrate_newer(version, error);
	if (version < migrate_version())
		return sl_fail(
		    error, SL_INVALID,
		    "the schema is at version %d, this build needs %d: run sluiced --migrate",
		    version, migrate_version());
	return SL_OK;
}
