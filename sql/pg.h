/* sql/pg.h - one asynchronous Postgres connection in pipeline mode, on the loop.
 *
 * Commands between two syncs are one transaction.  A lost connection fails what was in flight with
 * SL_UNAVAILABLE (for commits: in doubt; callers repeat or read back, see ledger.h), then
 * reconnects with backoff.  Statements are prepared once per connection.  Only sql/ sees libpq;
 * others hold a struct pg to say which connection serves what. */
#ifndef SLUICE_SQL_PG_H
#define SLUICE_SQL_PG_H

#include <stdbool.h>

#include "base/error.h"
#include "base/loop.h"

struct pg; /* opaque */

struct pg_settings {
	const char
	    *conninfo;    /* libpq conninfo or postgresql:// URL; never logged with its password */
	const char *name; /* application_name: "sluiced accept" */
	bool hot; /* plan settings of ledger.md section 9 (generic plans, no seq scans) by SET after
		     connect */
	int timeout_ms; /* a command without an answer for this long closes the connection; 0: 10 s
			 */
	/* Behind a pooler that gives a server to each transaction: nothing of ours may rest on the
	 * session, so statements are not prepared and the settings above go with every unit. */
	bool pooled;
};

/* Called when the connection becomes usable (up) and when it is lost; may be NULL. */
typedef void pg_state_cb(void *arg, bool up);

struct pg *pg_new(struct loop *loop, const struct pg_settings *settings, pg_state_cb *cb,
		  void *arg);
void pg_free(struct pg *pg); /* what is in flight fails with SL_UNAVAILABLE first */
bool pg_is_up(const struct pg *pg);
const char *pg_last_error(const struct pg *pg); /* why it is down, without secrets; "" if up */
/* LISTEN on channel; cb for each NOTIFY and, with payload NULL, after each reconnect (something may
 * have been missed). */
typedef void pg_notify_cb(void *arg, const char *channel, const char *payload);
void pg_listen(struct pg *pg, const char *channel, pg_notify_cb *cb, void *arg);

#endif
