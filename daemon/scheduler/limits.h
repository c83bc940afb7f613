/* daemon/scheduler/limits.h - how many jobs of a key may run at a time, brought from the ledger to Redis.
 *
 * The ledger refuses what is over a limit, so Redis may be behind; it must not stay behind, and a limit that
 * was raised should count at once.  Only the scheduler that leads writes. */
#ifndef SLUICE_DAEMON_SCHEDULER_LIMITS_H
#define SLUICE_DAEMON_SCHEDULER_LIMITS_H

#include <stdbool.h>

#include "daemon/daemon.h"
#include "sql/reclaim.h"

/* written: a flag for each shard; borrowed. */
typedef void limits_cb(void *arg, const bool *written);
/* Writes all limits of these shards (a flag for each).  cb once, from the loop, before the reclaim and the
 * queues are gone. */
void limits_write(struct daemon *daemon, struct reclaim *reclaim, const bool *shards, limits_cb *cb,
		  void *arg);

#endif
