/* daemon/worker/calls.h - sync calls: they wait for a runner, first come first served, at most 30
 * s.
 *
 * They have no row in the ledger and no entry in Redis: the HTTP request that waits is their only
 * record, and a caller that gets no answer knows that it got none. */
#ifndef SLUICE_DAEMON_WORKER_CALLS_H
#define SLUICE_DAEMON_WORKER_CALLS_H

#include "base/error.h"
#include "daemon/worker/attempt.h"

struct calls; /* opaque */

/* on_end: a call ended, there may be room. */
struct calls *calls_new(struct daemon *daemon, void (*on_end)(void *arg), void *arg);
void calls_free(struct calls *calls); /* once none runs and none waits */
int calls_running(const struct calls *calls);
int calls_waiting(const struct calls *calls);
/* SL_EXHAUSTED: too many wait.  cb as in attempt_start(). */
SL_MUST_USE enum sl_code calls_add(struct calls *calls, const struct attempt_ask *ask,
				   attempt_cb *cb, void *arg, struct sl_error *error);
void calls_start(struct calls *calls, int room); /* starts at most room of those that wait */
void calls_refuse(struct calls *calls);          /* ends those that wait as aborted */

#endif
