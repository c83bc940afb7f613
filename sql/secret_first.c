/* sql/secret_first.c - the fleet's own secrets, read and made before the loop runs. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/migrate_link.h"
#include "sql/secret.h"

/* The newest of each kind: the keys that seal now open them. */
static const char first_read[] =
    "SELECT 'own', name, sealed FROM secret"
    " UNION ALL SELECT * FROM (SELECT 'sample', 'environment:' || uuid || ':signing_key', signing_key"
    "  FROM environment WHERE signing_key <> '' ORDER BY id DESC LIMIT 4) e"
    " UNION ALL SELECT * FROM (SELECT 'sample', seal_row, credentials FROM integration"
    "  WHERE credentials <> '' ORDER BY id DESC LIMIT 4) i"
    " UNION ALL SELECT * FROM (SELECT 'sample', seal_row, credentials FROM connection"
    "  WHERE credentials <> '' ORDER BY id DESC LIMIT 8) c";

static const char first_write[] =
    "INSERT INTO secret (name, sealed) VALUES ('check', $1), ('envelope', $2)"
    " ON CONFLICT DO NOTHING";

void
secret_first_fini(struct secret_first *first)
{
	for (int i = 0; i < first->count; i++) {
		free(first->samples[i].sealed);
		free(first->samples[i].row);
	}
	free(first->check);
	free(first->envelope);
	*first = (struct secret_first){0};
}

static void
take(struct secret_first *out, const char *kind, const char *name, const char *sealed)
{
	if (strcmp(kind, "sample") == 0) {
		if (out->count < SECRET_SAMPLES)
			out->samples[out->count++] =
			    (struct secret_sample){sl_strdup(sealed), sl_strdup(name)};
	} else if (strcmp(name, "check") == 0 && out->check == NULL) {
		out->check = sl_strdup(sealed);
	} else if (strcmp(name, "envelope") == 0 && out->envelope == NULL) {
		out->envelope = sl_strdup(sealed);
	}
}

static enum sl_code
run(PGconn *conn, const char *text, const char *const *values, int count, PGresult **out,
    struct sl_error *error)
{
	PGresult *result = PQexecParams(conn, text, count, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	*out = result;
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return SL_OK;
	return sl_fail(error, SL_UNAVAILABLE, "postgres: the table of secrets: %s",
		       PQerrorMessage(conn));
}

static enum sl_code
read_all(PGconn *conn, struct secret_first *out, struct sl_error *error)
{
	PGresult *result;
	enum sl_code code = run(conn, first_read, NULL, 0, &result, error);

	for (int i = 0; code == SL_OK && i < PQntuples(result); i++)
		take(out, PQgetvalue(result, i, 0), PQgetvalue(result, i, 1),
		     PQgetvalue(result, i, 2));
	PQclear(result);
	return code;
}

enum sl_code
secret_first_read(const char *conninfo, struct secret_first *out, struct sl_error *error)
{
	PGconn *conn;
	enum sl_code code = migrate_connect(conninfo, &conn, error);

	*out = (struct secret_first){0};
	if (code != SL_OK)
		return code;
	code = read_all(conn, out, error);
	PQfinish(conn);
	return code;
}

enum sl_code
secret_first_write(const char *conninfo, const char *check, const char *envelope,
		   struct secret_first *out, struct sl_error *error)
{
	const char *values[] = {check, envelope};
	PGresult *result;
	PGconn *conn;
	enum sl_code code = migrate_connect(conninfo, &conn, error);

	*out = (struct secret_first){0};
	if (code != SL_OK)
		return code;
	code = run(conn, first_write, values, 2, &result, error);
	PQclear(result);
	if (code == SL_OK)
		code = read_all(conn, out, error);
	PQfinish(conn);
	return code;
}
