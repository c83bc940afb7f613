/* daemon/call.h - a sync call, run where there is a runner for it.
 *
 * Here when a place is free; else it travels through Redis to a worker that has one, and its answer comes
 * back.  What cannot travel (Redis is away, the input is too large) waits here for a place, if this node is
 * a worker.  A call is started at most once: what was taken and not heard of again has failed, not been
 * forgotten. */
#ifndef SLUICE_DAEMON_CALL_H
#define SLUICE_DAEMON_CALL_H

#include "daemon/worker/attempt.h"

struct callers; /* opaque: the calls of this node that travel */

struct callers *callers_new(struct daemon *daemon);
/* The time to drain is over: calls that nobody has taken end as aborted. */
void callers_give_up(struct callers *callers);
/* No more questions to Redis, nobody is called back. */
void callers_close(struct callers *callers);
void callers_free(struct callers *callers); /* after the queues */

/* cb comes once, unless the daemon ends first; the ask is copied.  SL_UNAVAILABLE: this node runs no
 * functions (or drains) and no other one can be asked; SL_EXHAUSTED: too many wait. */
SL_MUST_USE enum sl_code call_run(struct daemon *daemon, const struct attempt_ask *ask,
				  attempt_cb *cb, void *arg, struct sl_error *error);
/* Only by way of Redis.  False: it cannot, and nothing has happened.  (A calls_taker.) */
bool call_travel(void *daemon, const struct attempt_ask *ask, attempt_cb *cb, void *arg);

/* Ends of calls that no function has written. */
void call_not_started(struct daemon *daemon, attempt_cb *cb, void *arg);
void call_lost(attempt_cb *cb, void *arg);

#endif
