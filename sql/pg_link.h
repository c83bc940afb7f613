/* sql/pg_link.h - the two halves of a connection: pg.c, which talks over it, and pg_connect.c,
 * which makes it.  Private to them. */
#ifndef SLUICE_SQL_PG_LINK_H
#define SLUICE_SQL_PG_LINK_H

#include <libpq-fe.h>

#include "sql/pg.h"
#include "sql/unit.h"

#define PG_STATEMENTS_MAX 96
#define PG_LISTENERS_MAX 16
#define PG_CHANNEL_MAX 40

/* WAITING -> CONNECTING -> GREETING -> UP; all of them may fall back to WAITING; CLOSED is the end.
 * Invariants: conn is set in CONNECTING, GREETING and UP only; sent is empty but in GREETING and
 * UP. */
enum pg_state { PG_WAITING, PG_CONNECTING, PG_GREETING, PG_UP, PG_CLOSED };

struct pg_listener {
	struct pg *pg;
	struct unit_statement listen; /* its text is owned */
	char channel[PG_CHANNEL_MAX];
	pg_notify_cb *cb;
	void *arg;
};

struct pg_preparation { /* a PREPARE under way */
	struct pg *pg;
	const struct unit_statement *statement;
};

struct pg {
	struct loop *loop;
	enum pg_state state;
	char *conninfo, *name, *password; /* password: to keep it out of error texts; may be NULL */
	/* Of a conninfo that names several servers, else NULL: libpq leaves one that does not answer
	 * only when the system gives up on it, so we begin with the next one. */
	char *hosts, *addresses, *ports;
	int host_count, first_host;
	bool hot, pooled, conninfo_ok;
	bool broken; /* of no more use; pg_on_broken() comes at the end of the turn */
	int timeout_ms, backoff_ms;
	pg_state_cb *cb;
	void *arg;
	PGconn *conn;
	struct loop_watch *watch;
	/* WAITING: the next try; CONNECTING and GREETING: giving up; UP: the oldest unit's answer.
	 */
	struct loop_timer *timer;
	struct loop_timer *expiry; /* armed while units wait for a connection */
	struct unit_list waiting, sent;
	/* Statements that the server of this connection has, or will have before what follows. */
	const struct unit_statement *prepared[PG_STATEMENTS_MAX];
	int prepared_count;
	struct pg_listener listeners[PG_LISTENERS_MAX];
	int listener_count;
	char error[240];
};

/* ---- of pg.c -------------------------------------------------------------------------------- */

void pg_enter(struct pg *pg, enum pg_state to);
/* The connection is gone: what was sent is in doubt, what waits goes on waiting. */
void pg_lost(struct pg *pg, const char *why);
void pg_transmit(struct pg *pg, struct unit *unit);
void pg_flush(struct pg *pg);
/* The server answered the greeting: the connection can be used. */
void pg_ready(struct pg *pg);
void pg_on_socket(void *arg, int what);

/* ---- of pg_connect.c ------------------------------------------------------------------------ */

/* Pooled: the settings that a session would have, for the transaction that begins.  False: the
 * connection is of no more use. */
bool pg_transmit_settings(struct pg *pg);
void pg_parse_conninfo(struct pg *pg); /* sets conninfo_ok, password and the hosts */
/* Sets error to one line of text without the password, wherever libpq may have quoted it. */
void pg_explain(struct pg *pg, const char *text);
void pg_connect(struct pg *pg);
void pg_poll(struct pg *pg); /* goes on with a connection that is being made */

#endif
