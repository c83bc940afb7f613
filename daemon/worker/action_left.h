/* daemon/worker/action_left.h - what the job of an async action leaves with its result: the event that its
 * environment will be sent (wire.md 9, 18.6). */
#ifndef SLUICE_DAEMON_WORKER_ACTION_LEFT_H
#define SLUICE_DAEMON_WORKER_ACTION_LEFT_H

#include "base/buf.h"
#include "daemon/worker/attempt.h"
#include "sql/settle.h"

struct action_left {
	struct settle_run run; /* borrows from the rest */
	struct settle_event event;
	struct buf body;
};

/* attempt, of a job that is told of, has ended in state with output, as it will be settled. */
void action_left_init(struct action_left *left, const struct attempt *attempt, enum job_state state,
		      struct slice output);
void action_left_fini(struct action_left *left);

#endif
