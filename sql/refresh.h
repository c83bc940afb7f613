/* sql/refresh.h - refreshes of a connection's credentials: who is at it, how it went.
 *
 * Truth about "one refresh in the fleet": a claim ends by itself, is numbered, and only the last one may record; the
 * new credential is written only over the bytes that were refreshed (compare-and-set). */
#ifndef SLUICE_SQL_REFRESH_H
#define SLUICE_SQL_REFRESH_H

#include "sql/account.h"
#include "sql/settle.h"

struct refresh_claim {
	int64_t number;      /* of the claim */
	bool mine;           /* false: somebody else has it until left_ms from now */
	int64_t left_ms;
};
typedef void refresh_claim_cb(void *arg, enum sl_code code, const struct refresh_claim *claim,
			      const struct account_connection *row, const struct sl_error *error);
/* Claims for ttl_ms and reads the row in the same statement's snapshot; row is as it is now also when it is not mine. */
void refresh_begin(struct account *account, int64_t connection_id, int64_t ttl_ms,
		   refresh_claim_cb *cb, void *arg);
/* The new sealed credentials over the old ones; ends the claim and what had failed.  config: NULL, or the connection_config
 * with what the token answer changed.  SL_CONFLICT: others are stored by now, or the claim is not the last: nothing is
 * written.  *row of the callback is what is stored now. */
void refresh_store(struct account *account, int64_t connection_id, int64_t claim, const char *before,
		   const char *after, account_connections_cb *cb, void *arg);
/* It failed: counts the day, keeps cause and log_id; event: written with it when it was well before; NULL: none. */
void refresh_fail(struct account *account, int64_t connection_id, int64_t claim, const char *before,
		  const char *cause, const char *log_id, const struct settle_event *event,
		  account_connections_cb *cb, void *arg);
/* Gives the claim back without a result (the lookup before the call has failed, or the node stops). */
void refresh_drop(struct account *account, int64_t connection_id, int64_t claim);

/* Fetched now: moves last_fetched_at.  Called at most once an hour for a connection. */
void refresh_touch(struct account *account, const int64_t *ids, int count);
/* Connections that nobody has fetched for idle_ms, the oldest first; moves their last_fetched_at, so that each is
 * given to one caller. */
void refresh_take_idle(struct account *account, int64_t idle_ms, int limit,
		       account_connections_cb *cb, void *arg);

#endif
