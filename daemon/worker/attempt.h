/* daemon/worker/attempt.h - one try of a function: resolve what it needs, run it, serve its calls,
 * end.
 *
 * An attempt of a job is made durable ("begun") right before its first effect, and has no effect
 * any more once the worker's session is in doubt.  A sync call is an attempt without a job: nothing
 * to fence. */
#ifndef SLUICE_DAEMON_WORKER_ATTEMPT_H
#define SLUICE_DAEMON_WORKER_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/job.h"
#include "base/secret.h"
#include "daemon/api/directory.h"
#include "daemon/daemon.h"
#include "runtime/pool.h"

struct attempt_ask {
	const char *job_id; /* NULL: a sync call */
	int number;         /* from 1 */
	int64_t environment_id, function_version_id, connection_id;
	enum job_kind kind;
	/* JSON text, copied; empty: none.  JOB_ACTION: the function's input.  JOB_SYNC:
	 * {"sync":row id,"emptyCache":bool}.  JOB_WEBHOOK: {"sync":row id,"payload":any}.
	 * JOB_EVENT: none. */
	struct slice input;
};

struct settle_run;

struct attempt_end {
	enum job_state state; /* JOB_SUCCEEDED or JOB_FAILED */
	bool aborted; /* killed by attempt_abort() or refused by the ledger: nothing to record */
	struct slice output;          /* output JSON, or the error object; borrowed */
	const struct settle_run *run; /* of JOB_SYNC, else NULL; borrowed */
};

typedef void attempt_cb(void *arg, const struct attempt_end *end);

/* RESOLVING -> STARTING -> RUNNING -> ENDED; any state may go to ENDED.
 * Invariant: run is set if and only if the state is RUNNING. */
enum attempt_state { ATTEMPT_RESOLVING, ATTEMPT_STARTING, ATTEMPT_RUNNING, ATTEMPT_ENDED };
enum attempt_begin { BEGIN_NOT_YET, BEGIN_ASKED, BEGIN_DURABLE, BEGIN_REFUSED };

struct host_call;

struct attempt {
	struct daemon *daemon;
	enum attempt_state state;
	enum attempt_begin begin;
	char job_id[UUID_TEXT]; /* "" for a sync call */
	int number;
	int64_t environment_id, version_id, connection_id;
	enum job_kind kind;
	char *input;
	size_t input_len;
	const struct directory_environment *environment; /* held */
	const struct directory_function *function;       /* held */
	const struct directory_connection *connection;   /* held */
	struct run *run;
	struct loop_timer *timer; /* waits for a runner */
	int64_t deadline_mono_ms;
	int starts_left;
	bool aborting;
	struct host_call *calls; /* in flight; unlinked by host.c */
	attempt_cb *cb;
	void *arg;
};

/* Starts it; cb is called once, from the loop, and the attempt is gone after it.  Borrowed until
 * then. */
struct attempt *attempt_start(struct daemon *daemon, const struct attempt_ask *ask, attempt_cb *cb,
			      void *arg);
/* Kills the run, stops its requests; cb follows with aborted set. */
void attempt_abort(struct attempt *attempt);

/* ---- for host.c ------------------------------------------------------------------------------ */
/* Asks whether an effect may happen now: cb(arg, true) when the attempt is durable and the
 * session's last beat is good.  May be called from inside. */
typedef void attempt_effect_cb(void *arg, bool allowed);
void attempt_effect(struct attempt *attempt, attempt_effect_cb *cb, void *arg);

#endif
