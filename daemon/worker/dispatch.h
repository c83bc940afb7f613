/* daemon/worker/dispatch.h - a worker's capacity and its claims: when to take turns of keys, what
 * to run next, when to hand in.
 *
 * One session in the ledger and one lease in Redis per worker process.  Any doubt about the session
 * ends in a reset: effects stop, running attempts are ended and the worker goes on under a new one.
 * A lost lease costs no attempt: what runs goes on under the session, the worker joins again.  Sync
 * calls use the same runners, first, and need neither. */
#ifndef SLUICE_DAEMON_WORKER_DISPATCH_H
#define SLUICE_DAEMON_WORKER_DISPATCH_H

#include <stdbool.h>

#include "daemon/worker/attempt.h"

struct dispatch; /* opaque */

struct dispatch *dispatch_new(struct daemon *daemon);
void dispatch_free(struct dispatch *dispatch); /* after dispatch_stop() said it is done */
/* Stops leasing; lets what runs finish for timeout_ms, then ends it; hands the rest back and closes
 * the session.  done(arg) once. */
void dispatch_stop(struct dispatch *dispatch, int64_t timeout_ms, void (*done)(void *arg),
		   void *arg);

/* A stop is under way and shall be quick: ends what runs now, as after its time. */
void dispatch_hurry(struct dispatch *dispatch);

/* A quiet worker takes no turns of keys and no calls, its own node's neither: those travel, and one that
 * cannot (Redis is away, the input is too large) is refused.  What runs goes on, what was taken and does not
 * run is handed in at once, session and lease are kept. */
void dispatch_quiet(struct dispatch *dispatch, bool quiet);
bool dispatch_is_quiet(const struct dispatch *dispatch);

/* Functions cannot be started here for now (no zygote, no memory, no descriptors): as quiet, by itself and for
 * some seconds, so that others take what this worker would only hold.  Calls that cannot travel are
 * still tried. */
void dispatch_short(struct dispatch *dispatch, const char *why);

struct dispatch_load {
	int runners; /* places for jobs */
	int running; /* jobs whose function runs, but for those that lend their places */
	int waiting; /* runs that wait for a provider's window and lend theirs */
	int calls;   /* sync calls that run */
};
void dispatch_load(const struct dispatch *dispatch, struct dispatch_load *out);
/* The jobs that run, in no order. */
void dispatch_each_run(const struct dispatch *dispatch, void (*cb)(void *arg, const char *job_id),
		       void *arg);
/* The lease of a shard, by which Redis knows this worker; "" while there is none. */
const char *dispatch_lease(const struct dispatch *dispatch, int shard);

/* May a sync call start now?  Places of jobs count, and those of the setting call_runners. */
bool dispatch_has_place(const struct dispatch *dispatch);
/* Runs a sync call here as soon as there is a place, before any job.  SL_EXHAUSTED: too many wait
 * already.  Not started within call_start_limit: ends as failed, action_script_failure.  Only
 * daemon/call.h asks for this. */
SL_MUST_USE enum sl_code dispatch_call(struct dispatch *dispatch, const struct attempt_ask *ask,
				       attempt_cb *cb, void *arg, struct sl_error *error);

/* Jobs of this node are on their way to a shard's queue: a worker that has nothing to do asks for them. */
void dispatch_jobs_come(struct dispatch *dispatch, int shard);

/* A call of this node waits in Redis, where a worker takes it: this one too, when it has room. */
void dispatch_calls_wait(struct dispatch *dispatch, int shard);

/* A place for a run inside a run (trigger_action); false: all are taken.  These places are beyond
 * `runners` and no job or call can have them, so callers that fill every runner never wait for each
 * other: a chain of calls is as deep as there are places, and what finds none gives up in time. */
bool dispatch_nest(struct dispatch *dispatch);
void dispatch_unnest(struct dispatch *dispatch); /* the place is free again */
/* A run that waits for a provider's window lends its place (nested: one of dispatch_nest(), too), until it is taken
 * back; false: runners_waiting of them do so already. */
bool dispatch_lend(struct dispatch *dispatch, bool nested);
void dispatch_take_back(struct dispatch *dispatch, bool nested);
/* Function processes that a worker with these settings may have: for all that run at once, and more,
 * which wait.  Keys take turns, so with fewer processes than keys in work the one that was evicted is
 * the next one needed (doc/performance.md). */
int dispatch_processes(const struct config *config);

/* May a job of this worker have an effect now?  By the monotonic clock and the last good beat of
 * its session, without which nobody else can claim its key (I6). */
bool dispatch_may_effect(const struct dispatch *dispatch);
/* Is this job in the hands of this worker right now? */
bool dispatch_is_running(const struct dispatch *dispatch, const char *job_id);
/* A job was cancelled in the ledger: what this worker runs of it has no effect any more and ends in
 * ATTEMPT_GRACE_MS, with kill at once; what it would start of it is judged before. */
void dispatch_cancel(struct dispatch *dispatch, int64_t key_id, int64_t seq, const char *job_id,
		     bool kill);
/* For who may have missed a cancel: the jobs that run or wait here (nothing may be changed meanwhile),
 * and: judge whatever is not behind seq before it is started. */
void dispatch_each_job(const struct dispatch *dispatch,
		       void (*cb)(void *arg, int64_t key_id, int64_t seq, const char *job_id),
		       void *arg);
void dispatch_judge_all(struct dispatch *dispatch, int64_t seq);
/* The session is gone, or what was done under it is in doubt: only its end can resolve that. */
void dispatch_session_lost(struct dispatch *dispatch);
bool dispatch_is_ready(const struct dispatch *dispatch); /* session and lease are there */

#endif
