#include "sql/pg_link.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

/* ---- texts for humans ----------------------------------------------------------------------- */

void
pg_explain(struct pg *pg, const char *text)
{
	size_t hidden = pg->password == NULL ? 0 : strlen(pg->password), len = 0;

	while (*text != '\0' && len + 4 < sizeof(pg->error)) {
		if (hidden > 0 && strncmp(text, pg->password, hidden) == 0) {
			memcpy(pg->error + len, "***", 3);
			len += 3;
			text += hidden;
			continue;
		}
		pg->error[len++] = iscntrl((unsigned char)*text) ? ' ' : *text;
		text++;
	}
	while (len > 0 && pg->error[len - 1] == ' ')
		len--;
	pg->error[len] = '\0';
}

static int
pg_list_count(const char *list)
{
	int count = 1;

	for (; *list != '\0'; list++)
		count += *list == ',';
	return count;
}

/* The list with its first items moved to the end; NULL for NULL, or for a list of another length
 * (one port may stand for all hosts).  Owned by the caller. */
static char *
pg_list_turned(const char *list, int count, int first)
{
	const char *at = list;

	if (list == NULL || pg_list_count(list) != count)
		return NULL;
	if (first == 0)
		return sl_strdup(list);
	for (int i = 0; i < first; i++)
		at = strchr(at, ',') + 1;
	return sl_asprintf("%s,%.*s", at, (int)(at - 1 - list), list);
}

static void
pg_keep_hosts(struct pg *pg, const PQconninfoOption *it)
{
	char **list = strcmp(it->keyword, "host") == 0       ? &pg->hosts
		      : strcmp(it->keyword, "hostaddr") == 0 ? &pg->addresses
		      : strcmp(it->keyword, "port") == 0     ? &pg->ports
							     : NULL;

	if (list == NULL || it->val == NULL || it->val[0] == '\0')
		return;
	*list = sl_strdup(it->val);
	if (list != &pg->ports && pg_list_count(it->val) > pg->host_count)
		pg->host_count = pg_list_count(it->val);
}

/* libpq quotes the string in what it says about a bad one, so nothing of that is passed on. */
void
pg_parse_conninfo(struct pg *pg)
{
	PQconninfoOption *options = PQconninfoParse(pg->conninfo, NULL);

	pg->conninfo_ok = options != NULL;
	for (const PQconninfoOption *it = options; it != NULL && it->keyword != NULL; it++) {
		pg_keep_hosts(pg, it);
		if (strcmp(it->keyword, "password") == 0 && it->val != NULL && it->val[0] != '\0')
			pg->password = sl_strdup(it->val);
	}
	PQconninfoFree(options);
}

static void
pg_on_notice(void *arg, const char *message)
{
	const struct pg *pg = arg;

	(void)message; /* may quote values */
	log_debug("postgres_notice", "connection=%s", log_text(pg->name));
}

/* ---- connecting ----------------------------------------------------------------------------- */

/* local: "false" for the session, "true" for the transaction.  Never weakens synchronous_commit: accepted
 * means committed (I1); remote_apply stays.  jit off: the price that enable_seqscan = off puts on a plan
 * would start the compiler. */
#define PG_SETTINGS(local)                                                             \
	"set_config('statement_timeout', $1, " local "),"                              \
	" set_config('idle_in_transaction_session_timeout', $1, " local "),"           \
	" set_config('client_min_messages', 'error', " local "),"                      \
	" set_config('jit', 'off', " local "),"                                        \
	" set_config('synchronous_commit', CASE current_setting('synchronous_commit')" \
	"  WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, " local ")"
/* Freshly analysed empty tables plan as sequential scans, and a generic plan would keep them.  Analysed
 * while they are nearly empty, a page of an ordered index plans as a bitmap and a sort of all its rows. */
#define PG_PLANS(local)                                       \
	"set_config('enable_seqscan', 'off', " local "),"     \
	" set_config('enable_bitmapscan', 'off', " local ")," \
	" set_config('enable_sort', 'off', " local "),"       \
	" set_config('enable_hashjoin', 'off', " local "),"   \
	" set_config('enable_mergejoin', 'off', " local ")"

static const struct unit_statement pg_greeting = {
    NULL,
    "SELECT " PG_SETTINGS(
	"false") ","
		 " (SELECT set_config(name, $1, false) FROM pg_settings WHERE name = 'transaction_timeout')"};
static const struct unit_statement pg_greeting_hot = {
    NULL, "SELECT set_config('plan_cache_mode', 'force_generic_plan', false), " PG_PLANS("false")};
/* Pooled, where the next transaction may have another session.  transaction_timeout stays what the
 * database says; a unit ends long before. */
#define PG_LOCAL "SELECT " PG_SETTINGS("true")
#define PG_LOCAL_HOT PG_LOCAL ", " PG_PLANS("true")
/* Pooled: is there a server behind the pooler? */
static const struct unit_statement pg_greeting_pooled = {NULL, "SELECT"};

/* The server gives up before we do: then a command that we stopped waiting for is over. */
static void
pg_server_timeout(const struct pg *pg, char *text, size_t size)
{
	snprintf(text, size, "%dms", pg->timeout_ms / 5 * 4);
}

bool
pg_transmit_settings(struct pg *pg)
{
	char timeout[24];
	const char *values[] = {timeout};

	pg_server_timeout(pg, timeout, sizeof(timeout));
	return PQsendQueryParams(pg->conn, pg->hot ? PG_LOCAL_HOT : PG_LOCAL, 1, NULL, values, NULL,
				 NULL, 1) == 1;
}

static void
pg_on_greeted(void *arg, const struct unit_answer *answer)
{
	struct pg *pg = arg;

	if (pg->state != PG_GREETING) /* pg_lost() or pg_free() is at work */
		return;
	if (answer->code != SL_OK) {
		pg_lost(pg, answer->error.text);
		return;
	}
	pg_ready(pg);
}

static void
pg_greet(struct pg *pg)
{
	struct unit *unit;
	char timeout[24];

	if (PQsetnonblocking(pg->conn, 1) != 0 || PQenterPipelineMode(pg->conn) != 1) {
		pg_lost(pg, PQerrorMessage(pg->conn));
		return;
	}
	pg_enter(pg, PG_GREETING);
	unit = unit_new();
	if (pg->pooled) {
		unit_add(unit, &pg_greeting_pooled);
	} else {
		pg_server_timeout(pg, timeout, sizeof(timeout));
		unit_add(unit, &pg_greeting);
		unit_bind_text(unit, timeout);
		if (pg->hot)
			unit_add(unit, &pg_greeting_hot);
	}
	unit->cb = pg_on_greeted;
	unit->arg = pg;
	pg_transmit(pg, unit);
	if (!pg->broken)
		pg_flush(pg);
}

/* libpq may have gone on to another socket with the same number: the watch is made anew each time.
 */
static void
pg_watch(struct pg *pg, int what)
{
	loop_watch_free(pg->watch);
	pg->watch = loop_watch_new(pg->loop, PQsocket(pg->conn), pg_on_socket, pg);
	loop_watch_set(pg->watch, what);
}

void
pg_poll(struct pg *pg)
{
	PostgresPollingStatusType status;

	/* Freed before libpq may close the descriptor. */
	loop_watch_free(pg->watch);
	pg->watch = NULL;
	status = PQconnectPoll(pg->conn);
	switch (status) {
	case PGRES_POLLING_READING:
		pg_watch(pg, LOOP_READ);
		return;
	case PGRES_POLLING_WRITING:
	case PGRES_POLLING_ACTIVE:
		pg_watch(pg, LOOP_WRITE);
		return;
	case PGRES_POLLING_OK:
		pg_watch(pg, LOOP_READ);
		pg_greet(pg);
		return;
	case PGRES_POLLING_FAILED:
		pg_lost(pg, PQerrorMessage(pg->conn));
		return;
	}
}

/* The connection, with the hosts in the order of their turn; NULL: out of memory. */
static PGconn *
pg_begin(const struct pg *pg)
{
	char *hosts = pg_list_turned(pg->hosts, pg->host_count, pg->first_host);
	char *addresses = pg_list_turned(pg->addresses, pg->host_count, pg->first_host);
	char *ports = pg_list_turned(pg->ports, pg->host_count, pg->first_host);
	/* Pooled: one name for all, since a pooler sets it anew where it differs from the one
	 * before. */
	const struct {
		const char *keyword, *value;
	} all[] = {
	    {"target_session_attrs", "read-write"}, /* what the conninfo may override */
	    {"keepalives_idle", "30"},
	    {"keepalives_interval", "10"},
	    {"tcp_user_timeout", "10000"}, /* ms: a machine that is gone says nothing any more */
	    {"dbname", pg->conninfo},
	    {"application_name", pg->pooled ? "sluiced" : pg->name}, /* what it may not */
	    {"client_encoding", "UTF8"},
	    {"host", hosts},
	    {"hostaddr", addresses},
	    {"port", ports},
	};
	const char *keywords[sizeof(all) / sizeof(*all) + 1], *values[sizeof(all) / sizeof(*all)];
	int count = 0;
	PGconn *conn;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (all[i].value == NULL)
			continue;
		keywords[count] = all[i].keyword;
		values[count++] = all[i].value;
	}
	keywords[count] = NULL;
	conn = PQconnectStartParams(keywords, values, 1);
	free(hosts);
	free(addresses);
	free(ports);
	return conn;
}

void
pg_connect(struct pg *pg)
{
	pg_enter(pg, PG_CONNECTING);
	if (!pg->conninfo_ok) {
		pg_lost(pg, "the connection string cannot be parsed");
		return;
	}
	pg->conn = pg_begin(pg);
	if (pg->conn == NULL) {
		pg_lost(pg, "out of memory");
		return;
	}
	PQsetNoticeProcessor(pg->conn, pg_on_notice, pg);
	if (PQstatus(pg->conn) == CONNECTION_BAD) {
		pg_lost(pg, PQerrorMessage(pg->conn));
		return;
	}
	pg_watch(pg, LOOP_WRITE); /* libpq: as if the last poll had said WRITING */
}
