/* daemon/worker/again.h - the next run of a sync that was interrupted near its time limit.
 *
 * It goes on from the checkpoint that the interrupted run has saved (wire.md 14.1). */
#ifndef SLUICE_DAEMON_WORKER_AGAIN_H
#define SLUICE_DAEMON_WORKER_AGAIN_H

#include <stdint.h>

#include "daemon/daemon.h"

/* After the interrupted run's result was committed.  What fails is logged: the sync then waits for its
 * next trigger, with its checkpoint. */
void again_start(struct daemon *daemon, int64_t sync_id);

#endif
