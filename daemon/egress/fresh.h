/* daemon/egress/fresh.h - credentials of a connection that are good to use now (wire.md 5.4).
 *
 * A token that ends within FRESH_AHEAD_MS is refreshed first: once in the fleet.  Callers of this node share
 * one refresh; a lock in Redis keeps other nodes from asking Postgres, a claim in Postgres (sql/refresh.h) keeps
 * them from the token endpoint also when Redis is away, and the new credential is written only over the
 * one that was refreshed.  A failure that says nothing about the refresh token (the endpoint is away, or
 * answers nonsense) leaves a token in use that has not ended yet. */
#ifndef SLUICE_DAEMON_EGRESS_FRESH_H
#define SLUICE_DAEMON_EGRESS_FRESH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "daemon/daemon.h"
#include "sql/account.h"

#define FRESH_AHEAD_MS (15 * 60 * INT64_C(1000))
#define FRESH_COOLDOWN_MS (30 * INT64_C(1000)) /* after a failure */
#define FRESH_DAYS_MAX 4                       /* failing days in a row: then it is exhausted */

struct fresh; /* opaque: one per process */

struct fresh_ask {
	const struct account_connection *row; /* borrowed for the call; copied where it must wait */
	/* Now, whatever expires_at, cooldown and exhaustion say (force_refresh of the wire). */
	bool force;
	/* NULL, or the access token that a provider has just refused (401): refreshed, unless another one is
	 * stored by now, or a refresh for the same reason was made within FRESH_COOLDOWN_MS. */
	const char *stale;
};

struct fresh_answer {
	/* SL_OK; SL_INVALID: they are no good, wire_code says why; SL_UNAVAILABLE: the ledger is away;
	 * SL_NOT_FOUND: the connection is gone. */
	enum sl_code code;
	/* "invalid_credentials", "connection_refresh_backoff", "connection_refresh_exhausted"; "unknown_connection",
	 * "server_error" (SL_UNAVAILABLE); NULL: SL_OK */
	const char *wire_code;
	const char *text;                     /* for humans, without secrets; NULL: SL_OK */
	const struct account_connection *row; /* as it is stored now, also with SL_INVALID; NULL otherwise; borrowed */
	struct slice credentials;             /* opened JSON; borrowed, wiped behind the callback */
};

typedef void fresh_cb(void *arg, const struct fresh_answer *answer);

struct fresh *fresh_new(struct daemon *daemon);
void fresh_free(struct fresh *fresh); /* what waits is answered SL_UNAVAILABLE first */
/* cb once, from inside when nothing has to be asked for.  Connections whose type is not refreshed are opened
 * and given as they are. */
void fresh_get(struct fresh *fresh, const struct fresh_ask *ask, fresh_cb *cb, void *arg);
bool fresh_is_idle(const struct fresh *fresh); /* no refresh is under way */

#endif
