/* daemon/worker/attempt_parts.h - what attempt.c, attempt_effect.c and attempt_resolve.c share. */
#ifndef SLUICE_DAEMON_WORKER_ATTEMPT_PARTS_H
#define SLUICE_DAEMON_WORKER_ATTEMPT_PARTS_H

#include "daemon/worker/attempt.h"

#define ATTEMPT_STARTS_MAX 100 /* 10 s for a zygote that comes back, or for a place */

/* ---- attempt.c ---- */
void attempt_enter(struct attempt *attempt, enum attempt_state to);
void attempt_try_start(struct attempt *attempt); /* in STARTING */
void attempt_finish(struct attempt *attempt, enum job_state state, bool aborted,
		    struct slice output);
/* Failed for a reason of ours; error: payload.error, or NULL. */
void attempt_finish_error(struct attempt *attempt, const char *code, const char *message,
			  const char *error);
void attempt_finish_died(struct attempt *attempt);
/* Nothing ran or it must not count: the job stays open and comes back. */
void attempt_finish_aborted(struct attempt *attempt);

/* ---- attempt_resolve.c ---- */
void attempt_resolve(void *arg); /* in RESOLVING; goes on to STARTING */

/* ---- attempt_effect.c ---- */
struct attempt_gate *attempt_gate_new(struct attempt *attempt);
void attempt_gate_free(struct attempt_gate *gate);
/* What waits on its behalf is forgotten, here and in those it runs inside of. */
void attempt_gate_drop(struct attempt *attempt);
/* Likewise, and for good: the attempt ends. */
void attempt_gate_close(struct attempt *attempt);

#endif
