/* daemon/deliver/lane.h - how many tries each endpoint may have under way on this node, and when
 * its circuit breaker opens.
 *
 * An endpoint is trusted once it has answered 2xx, until it fails or while one of its tries takes
 * longer than a second.  Those that are not trusted share half of the places; the other half is
 * there for those that answer, even when many of them stop to do so at once and what they hold goes
 * over the first.  One that has not answered yet, or failed last, gets a try at a time; others as
 * many as per_endpoint, but no more than their share of the places and an eighth of what is
 * free.  So one with much to send leaves places to others, and what is sent to an endpoint follows
 * itself over few connections.
 *
 * What is known of an endpoint is this node's own and is forgotten when it was idle for an hour;
 * the breaker's state is in the ledger.  Pure: the caller has the clock (monotonic). */
#ifndef SLUICE_DAEMON_DELIVER_LANE_H
#define SLUICE_DAEMON_DELIVER_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "sql/delivery.h"

#define LANE_SLOW_MS 1000
#define LANE_FAILURES 5 /* within LANE_FAILURES_MS: the breaker opens */
#define LANE_FAILURES_MS 10000
#define LANE_OPEN_MS 60000
#define LANES_KEPT 10000
#define LANES_LISTED 250 /* idle ones in a claim at most */
#define LANES_OVER 2     /* times the places: tries that may be under way at most */

struct lanes; /* opaque */

struct lanes *lanes_new(void);
void lanes_free(struct lanes *lanes); /* NULL is fine */
void lanes_limit(struct lanes *lanes, int places, int per_endpoint);

/* ALL: any endpoint, into the places for those that are not trusted.  TRUSTED: only those, into any
 * place; to be asked beside the other while that one has few places left. */
enum lanes_claim { LANES_ALL, LANES_TRUSTED };

/* What such a claim may take: sets room, fresh_room, lanes (borrowed until lanes_claimed()) and
 * lane_count.  False: nothing. */
bool lanes_ask(struct lanes *lanes, enum lanes_claim kind, struct delivery_ask *ask);
/* Its answer, the rows in any order: their tries are under way.  True: there may be more to take. */
bool lanes_claimed(struct lanes *lanes, const struct delivery_claimed *rows, int count,
		   int64_t now_ms);
/* A try has been under way for LANE_SLOW_MS; once for each. */
void lanes_slow(struct lanes *lanes, int64_t endpoint_id);

enum lane_end {
	LANE_DELIVERED,
	LANE_FAILED,
	LANE_TIMED_OUT,
	LANE_LEFT, /* nothing was learned of it */
};
/* How a try was answered, when it is: the milliseconds for which the breaker is to open, 0 for
 * none.  It opens when failures come fast, when an endpoint times out twice in a row, and anew
 * when it was open and has only failed since. */
int64_t lanes_answered(struct lanes *lanes, int64_t endpoint_id, enum lane_end end, int64_t now_ms);
/* The try's place is free; slow: lanes_slow() was said of it.  True: the endpoint may have more
 * that waits for it. */
bool lanes_ended(struct lanes *lanes, int64_t endpoint_id, bool slow, int64_t now_ms);

int lanes_under_way(const struct lanes *lanes);
void lanes_forget_idle(struct lanes *lanes, int64_t now_ms); /* now and then */
int lanes_count(const struct lanes *lanes);

#endif
