/* daemon/scheduler/sweep.h - bring open jobs that Redis does not know back to it; build shards anew
 * that are empty.
 *
 * The ledger is the truth.  The sweep pages through jobs that are open for some seconds and asks
 * Redis, key by key, which of them stand in no list (an api process died between commit and push,
 * or a push failed).  Those that nobody has started within their limit end as expired.  A push too many is harmless: the ledger refuses a second start.
 *
 * One pass serves all shards that take part in it; one that fails meanwhile is left to the next pass. */
#ifndef SLUICE_DAEMON_SCHEDULER_SWEEP_H
#define SLUICE_DAEMON_SCHEDULER_SWEEP_H

#include <stdbool.h>

#include "daemon/daemon.h"
#include "queue/ready.h"
#include "sql/reclaim.h"

struct sweep; /* opaque */

struct sweep *sweep_new(struct daemon *daemon, struct reclaim *reclaim); /* both borrowed */
void sweep_free(struct sweep *sweep);
bool sweep_is_idle(const struct sweep *sweep);
void sweep_start(struct sweep *sweep); /* one pass over the shards that are up; only when idle */
/* Empties these shards (one flag for each), pushes all open jobs of theirs, publishes new epochs; only when
 * idle. */
void sweep_rebuild(struct sweep *sweep, const bool *shards);
bool sweep_is_rebuilding(const struct sweep *sweep, int shard);

/* Pushes jobs (in seq order) to one lane of a shard, which must be theirs. */
void sweep_push(struct daemon *daemon, int shard, const struct reclaim_job *jobs, int count,
		enum ready_lane lane, queue_cb *cb, void *arg);

#endif
