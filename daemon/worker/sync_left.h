/* daemon/worker/sync_left.h - what a run of a sync, or of its webhook, leaves with its result: what its row
 * is told, the run that goes on, and the events that its environment will be sent (wire.md 9). */
#ifndef SLUICE_DAEMON_WORKER_SYNC_LEFT_H
#define SLUICE_DAEMON_WORKER_SYNC_LEFT_H

#include "base/buf.h"
#include "daemon/worker/attempt.h"
#include "sql/settle.h"

struct sync_left {
	struct settle_run run; /* borrows from the rest */
	char again[UUID_TEXT];
	struct buf result;
	struct settle_event *events;
	struct buf *bodies; /* of the events */
};

/* Of a run that was interrupted: is there a checkpoint to go on from?  One that stays what it was counts up
 * attempt->still_runs; false once they are `sync_stall_runs`. */
bool sync_left_gets_on(struct attempt *attempt);
/* attempt has ended in state with output, as it will be settled. */
void sync_left_init(struct sync_left *left, const struct attempt *attempt, enum job_state state,
		    struct slice output);
void sync_left_fini(struct sync_left *left);

#endif
