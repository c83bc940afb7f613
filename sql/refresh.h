/* sql/refresh.h - refreshes of a connection's credentials: who is at it, how it went (0020_refresh).
 *
 * Truth about "one refresh in the fleet": who has the claim, which ends by itself, asks the token endpoint; what came
 * of it is written only over the bytes that were refreshed (compare-and-set), so that an old token never replaces what
 * somebody else has stored meanwhile. */
#ifndef SLUICE_SQL_REFRESH_H
#define SLUICE_SQL_REFRESH_H

#include "sql/account.h"
#include "sql/settle.h"

/* row is as it is now, under the claim; borrowed; NULL unless SL_OK.  SL_NOT_FOUND: the connection is gone. */
typedef void refresh_claim_cb(void *arg, enum sl_code code, int64_t claim,
			      const struct account_connection *row, const struct sl_error *error);
/* Claims for ttl_ms; claim 0: somebody else is at it. */
void refresh_begin(struct account *account, int64_t connection_id, int64_t ttl_ms,
		   refresh_claim_cb *cb, void *arg);

/* after over before (sealed texts), and the claim ends.  The row of cb is what is stored now: something else than
 * after when others came first, and then nothing was written. */
void refresh_store(struct account *account, int64_t connection_id, int64_t claim, const char *before,
		   const char *after, account_connections_cb *cb, void *arg);

struct refresh_failure {
	const char *cause;  /* for humans, without secrets */
	const char *log_id; /* NULL: its owner need not know: it only must not be tried again at once */
	/* Written unless the failure before was told already; NULL: none. */
	const struct settle_event *event;
};
/* Recorded, with the end of the claim, unless others than before are stored by now.  The row of cb is what is
 * stored now. */
void refresh_fail(struct account *account, int64_t connection_id, int64_t claim, const char *before,
		  const struct refresh_failure *failure, account_connections_cb *cb, void *arg);
/* Gives the claim back; nobody waits for the answer. */
void refresh_drop(struct account *account, int64_t connection_id, int64_t claim);

/* They were used now: moves last_fetched_at of those where it is an hour old. */
void refresh_touch(struct account *account, const int64_t *ids, int count);
/* Connections that nobody has used for idle_ms, the oldest first.  Moves their last_fetched_at, so that each is given to
 * one caller. */
void refresh_take_idle(struct account *account, int64_t idle_ms, int limit,
		       account_connections_cb *cb, void *arg);

#endif
