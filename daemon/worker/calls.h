/* daemon/worker/calls.h - sync calls of this worker: those that run, and those that wait for a runner here
 * because they cannot travel (daemon/call.h), first come first served, at most call_start_limit.
 *
 * They have no row in the ledger: the HTTP request that waits, here or elsewhere, is their only
 * record, and a caller that gets no answer knows that it got none. */
#ifndef SLUICE_DAEMON_WORKER_CALLS_H
#define SLUICE_DAEMON_WORKER_CALLS_H

#include "base/error.h"
#include "daemon/worker/attempt.h"

struct calls; /* opaque */

/* on_end: a call ended or lends its place, there may be room. */
struct calls *calls_new(struct daemon *daemon, void (*on_end)(void *arg), void *arg);
void calls_free(struct calls *calls); /* once none runs and none waits */
int calls_running(const struct calls *calls);
int calls_waiting(const struct calls *calls);
int calls_places(
    const struct calls *calls); /* those that run and do not lend theirs, and those expected */
/* SL_EXHAUSTED: too many wait.  cb as in attempt_start(). */
SL_MUST_USE enum sl_code calls_add(struct calls *calls, const struct attempt_ask *ask,
				   attempt_cb *cb, void *arg, struct sl_error *error);
void calls_start(struct calls *calls, int room); /* starts at most room of those that wait */
/* Starts one that has its place: expected before, or one that room_for_calls() has. */
void calls_start_now(struct calls *calls, const struct attempt_ask *ask, attempt_cb *cb, void *arg);
void calls_expect(struct calls *calls, int places); /* more, or (below 0) fewer */
/* Offers the first that waits to another; true: it took it over, with its callback. */
typedef bool calls_taker(void *arg, const struct attempt_ask *ask, attempt_cb *cb, void *cb_arg);
bool calls_pass_on(struct calls *calls, calls_taker *taker, void *arg);
void calls_refuse(struct calls *calls); /* ends those that wait as aborted */

#endif
