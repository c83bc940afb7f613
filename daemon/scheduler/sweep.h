/* daemon/scheduler/sweep.h - bring open jobs that Redis does not know back to it; build it anew
 * when it is empty.
 *
 * The ledger is the truth.  The sweep pages through jobs that are open for some seconds and asks
 * Redis, key by key, which of them stand in no list (an api process died between commit and push,
 * or a push failed).  Those that nobody has started within their limit end as expired.  A push too many is harmless: the ledger refuses a second start. */
#ifndef SLUICE_DAEMON_SCHEDULER_SWEEP_H
#define SLUICE_DAEMON_SCHEDULER_SWEEP_H

#include <stdbool.h>

#include "daemon/daemon.h"
#include "queue/ready.h"
#include "sql/reclaim.h"

struct sweep; /* opaque */

struct sweep *sweep_new(struct daemon *daemon, struct reclaim *reclaim); /* both borrowed */
void sweep_free(struct sweep *sweep);
void sweep_start(struct sweep *sweep); /* one pass; nothing when one is under way */
void sweep_rebuild(
    struct sweep *sweep); /* empties the shard, pushes all open jobs, publishes a new epoch */
bool sweep_is_rebuilding(const struct sweep *sweep);

/* Pushes jobs (in seq order) to one lane. */
void sweep_push(struct daemon *daemon, const struct reclaim_job *jobs, int count,
		enum ready_lane lane, queue_cb *cb, void *arg);

#endif
