#include "sql/pg_link.h"

#include <ctype.h>
#include <stdio.h>
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

/* libpq quotes the string in what it says about a bad one, so nothing of that is passed on. */
void
pg_parse_conninfo(struct pg *pg)
{
	PQconninfoOption *options = PQconninfoParse(pg->conninfo, NULL);

	pg->conninfo_ok = options != NULL;
	for (const PQconninfoOption *it = options; it != NULL && it->keyword != NULL; it++)
		if (strcmp(it->keyword, "password") == 0 && it->val != NULL && it->val[0] != '\0')
			pg->password = sl_strdup(it->val);
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

/* Never weakens synchronous_commit: accepted means committed (I1); remote_apply stays.  jit off:
 * the price that enable_seqscan = off puts on a plan would start the compiler. */
static const struct unit_statement pg_greeting = {
    NULL,
    "SELECT set_config('statement_timeout', $1, false),"
    " set_config('idle_in_transaction_session_timeout', $1, false),"
    " set_config('client_min_messages', 'error', false),"
    " set_config('jit', 'off', false),"
    " set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    "  WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false),"
    " (SELECT set_config(name, $1, false) FROM pg_settings WHERE name = 'transaction_timeout')"};

/* Freshly analysed empty tables plan as sequential scans, and a generic plan would keep them.  Analysed
 * while they are nearly empty, a page of an ordered index plans as a bitmap and a sort of all its rows. */
static const struct unit_statement pg_greeting_hot = {
    NULL, "SELECT set_config('plan_cache_mode', 'force_generic_plan', false),"
	  " set_config('enable_seqscan', 'off', false),"
	  " set_config('enable_bitmapscan', 'off', false),"
	  " set_config('enable_sort', 'off', false),"
	  " set_config('enable_hashjoin', 'off', false),"
	  " set_config('enable_mergejoin', 'off', false)"};

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
	/* The server gives up before we do: then a command that we stopped waiting for is over. */
	snprintf(timeout, sizeof(timeout), "%dms", pg->timeout_ms / 5 * 4);
	unit = unit_new();
	unit_add(unit, &pg_greeting);
	unit_bind_text(unit, timeout);
	if (pg->hot)
		unit_add(unit, &pg_greeting_hot);
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

void
pg_connect(struct pg *pg)
{
	/* Before dbname: what the conninfo may override; after it: what it may not. */
	const char *keywords[] = {"target_session_attrs",
				  "keepalives_idle",
				  "keepalives_interval",
				  "dbname",
				  "application_name",
				  "client_encoding",
				  NULL};
	const char *values[] = {"read-write", "30", "10", pg->conninfo, pg->name, "UTF8", NULL};

	pg_enter(pg, PG_CONNECTING);
	if (!pg->conninfo_ok) {
		pg_lost(pg, "the connection string cannot be parsed");
		return;
	}
	pg->conn = PQconnectStartParams(keywords, values, 1);
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
