/* daemon/egress/flight.h - one refresh of a connection's credentials, from the lock to the store; for fresh.c.
 *
 * LOCKING -> CLAIMING -> FETCHING -> STORING or FAILING -> LANDED, with WAITING wherever somebody else is at it or a
 * call is tried again.  Only who holds the claim (sql/refresh.h) talks to the token endpoint.  A new token is kept until
 * the ledger has it: with rotation, the one before is worth nothing any more. */
#ifndef SLUICE_DAEMON_EGRESS_FLIGHT_H
#define SLUICE_DAEMON_EGRESS_FLIGHT_H

#include "base/json.h"
#include "daemon/egress/fresh.h"
#include "provider/catalog.h"

#define FRESH_BACKOFF_TEXT                                                                      \
	"the last refresh of this connection's credentials has failed, and is not tried again " \
	"within 30 seconds; force_refresh does it at once"
#define FRESH_EXHAUSTED_TEXT                                                                   \
	"refreshing this connection's credentials has failed on 4 days; connect it again, or " \
	"try with force_refresh"

struct fresh_case {
	const struct account_connection *row;
	const struct provider *provider;
	struct slice plain;            /* opened credentials */
	struct json_value credentials; /* parsed from plain */
	bool force;
	bool stale; /* a provider has refused the very token that is stored */
};

enum fresh_need { FRESH_AS_IT_IS, FRESH_NEEDED, FRESH_BACKOFF, FRESH_EXHAUSTED };
enum fresh_need fresh_need(const struct fresh_case *c); /* fresh.c */

struct flight; /* opaque */

/* cb once, from the loop; the flight is gone then (but for a new token that is still to be stored). */
struct flight *flight_start(struct daemon *daemon, const struct fresh_case *c, fresh_cb *cb,
			    void *arg);
void flight_force(struct flight *flight); /* somebody wants it whatever the row says */
void flight_abort(struct flight *flight); /* cb comes from inside, with SL_UNAVAILABLE */

#endif
