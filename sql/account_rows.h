/* sql/account_rows.h - what the account_*.c files share.  Private to them. */
#ifndef SLUICE_SQL_ACCOUNT_ROWS_H
#define SLUICE_SQL_ACCOUNT_ROWS_H

#include "sql/account.h"
#include "sql/unit.h"

/* Milliseconds since 1970 of a timestamptz column. */
#define ACCOUNT_MS(column) "(extract(epoch FROM " column ") * 1000)::bigint"
/* A column that tells the catalogs of all nodes that an environment changed; sent at commit. */
#define ACCOUNT_NOTIFY(environment) "pg_notify('sluice_catalog', (" environment ")::text)"

/* What account_connection_read() reads; c is the connection. */
#define ACCOUNT_CONNECTION_COLUMNS                                                             \
	"c.id, c.environment_id, c.integration_id, c.connection_id, i.unique_key, i.provider," \
	" c.credentials, c.seal_row, c.connection_config, c.metadata, c.tags, c.end_user,"     \
	" c.webhook_url_override, " ACCOUNT_MS("c.created_at") ", " ACCOUNT_MS(                \
	    "c.updated_at") ", " ACCOUNT_MS("c.last_fetched_at") ", coalesce(r.log_id::text, '')," \
	ACCOUNT_MS("now() - r.failed_at") ", coalesce(r.failing_days, 0)::bigint,"             \
	ACCOUNT_MS("now() - r.refreshed_at")
#define ACCOUNT_CONNECTION_FROM                                          \
	" FROM connection c JOIN integration i ON i.id = c.integration_id" \
	" LEFT JOIN refresh r ON r.connection_id = c.id "

struct account_call {
	union { /* the one that the reader of the answer knows */
		account_done_cb *done;
		account_environments_cb *environments;
		account_key_cb *key;
		account_variables_cb *variables;
		account_integrations_cb *integrations;
		account_connections_cb *connections;
		account_upsert_cb *connection;
		account_functions_cb *functions;
		account_deploy_cb *deployed;
	} cb;
	void *arg;
	const char
	    *one; /* what was looked for: no row is SL_NOT_FOUND; NULL: a list may be empty */
};

struct account_call *account_call_new(void *arg, const char *one);
void account_send(struct account *account, struct unit *unit, unit_cb *answered,
		  struct account_call *call);
struct loop *account_loop(const struct account *account);
/* The rows of the last command; what comes before it locks. */
const PGresult *account_rows(const struct unit_answer *answer);
/* How a call ended, and how many rows there are (0 unless SL_OK). */
enum sl_code account_outcome(const struct account_call *call, const struct unit_answer *answer,
			     int *count, struct sl_error *error);
/* Texts are borrowed from the result. */
void account_connection_read(struct account_connection *row, const PGresult *result, int i);
/* Sends a unit whose last command answers with connections, for account_connections_cb. */
void account_send_connections(struct account *account, struct unit *unit, const char *one,
			      account_connections_cb *cb, void *arg);
/* Sends a unit whose last command answers for account_done_cb: no row is SL_NOT_FOUND, a row
 * without an id (its first column) is SL_CONFLICT. */
void account_send_done(struct account *account, struct unit *unit, const char *what,
		       account_done_cb *cb, void *arg);

#endif
