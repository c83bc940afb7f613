/* sql/unit.h - commands between two syncs: one transaction on a pg connection.  Private to sql/.
 *
 * A unit is made, filled, sent once and answered once.  Statements are static; each is prepared on
 * its first use on a connection.  Results are binary (value.h). */
#ifndef SLUICE_SQL_UNIT_H
#define SLUICE_SQL_UNIT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/error.h"
#include "sql/pg.h"
#include "sql/value.h"

#define UNIT_PARAMS_MAX 20
#define UNIT_WAIT_MS 5000 /* how long a unit waits for a connection before it fails */

struct unit_statement {
	const char *name; /* unique in sql/; NULL: not prepared, planned each time */
	const char *text;
};

struct unit_answer {
	enum sl_code code;
	/* The connection was lost after the unit was sent: whether it committed is not known. Every
	 * other failure means that nothing was written. */
	bool in_doubt;
	PGresult *const *results; /* one per command when code is SL_OK, else NULL; borrowed */
	int count;                /* commands */
	struct sl_error error;
};
/* Called exactly once, from the loop, in the order of sending. */
typedef void unit_cb(void *arg, const struct unit_answer *answer);

struct unit; /* opaque; owned by the maker until unit_send() */

struct unit *unit_new(void);
void unit_free(struct unit *unit);
/* Starts the next command; the binds that follow are its $1, $2, ...  Returns its index. */
int unit_add(struct unit *unit, const struct unit_statement *statement);
void unit_bind_int(struct unit *unit, int64_t number); /* for a parameter cast to bigint */
void unit_bind_bool(struct unit *unit, bool yes);
void unit_bind_text(struct unit *unit, const char *text);           /* copied; NULL: SQL null */
void unit_bind_array(struct unit *unit, struct value_array *array); /* takes its bytes */
/* Takes the unit.  It waits at most wait_ms for a connection, then fails with SL_UNAVAILABLE. */
void unit_send(struct unit *unit, struct pg *pg, int64_t wait_ms, unit_cb *cb, void *arg);

/* ---- for pg.c ------------------------------------------------------------------------------- */

struct unit_param {
	char *bytes; /* owned; NULL: SQL null */
	size_t len;
	int format; /* 0 text, 1 binary */
};

struct unit_command {
	const struct unit_statement *statement;
	struct unit_param params[UNIT_PARAMS_MAX];
	int count;
};

struct unit {
	TAILQ_ENTRY(unit) link;
	struct unit_command *commands;
	PGresult **results;
	int count, size;
	int at;       /* the command whose results arrive; -1: the settings before them */
	bool prepare; /* the one command is a PREPARE of its statement */
	bool sent;
	bool read_only;        /* refused because the server takes no writes (any more) */
	int64_t wait_until_ms; /* monotonic */
	int64_t sent_us;       /* monotonic */
	unit_cb *cb;
	void *arg;
	struct unit_answer answer;
};
TAILQ_HEAD(unit_list, unit);

void pg_submit(struct pg *pg, struct unit *unit); /* pg.c's end of unit_send() */
/* Hands the command to libpq, by the name of its statement if that is prepared; false: the
 * connection is of no more use. */
bool unit_transmit(const struct unit *unit, int command, PGconn *conn, bool prepared);
/* Takes a result of the current command. */
void unit_take(struct unit *unit, PGresult *result);
/* Has every command its result, or one of them the server's refusal?  False: libpq had no memory for
 * what came, and nobody knows what the server did. */
bool unit_is_whole(const struct unit *unit);
/* Calls back and frees. */
void unit_finish(struct unit *unit);
/* Sets the answer of a unit that cannot be answered any more: in doubt if it was sent. */
void unit_fail(struct unit *unit, const char *why);
/* If the unit uses statement, which could not be prepared: it fails as that did. */
void unit_fail_with(struct unit *unit, const struct unit_statement *statement,
		    const struct unit_answer *answer);

#endif
