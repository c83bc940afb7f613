/* daemon/scheduler/upkeep.h - what each shard of the queue needs from the scheduler that leads: a look at
 * its epoch, leases that ended, a sweep now and then, a rebuild when it is empty. */
#ifndef SLUICE_DAEMON_SCHEDULER_UPKEEP_H
#define SLUICE_DAEMON_SCHEDULER_UPKEEP_H

#include "daemon/daemon.h"
#include "sql/reclaim.h"

struct upkeep; /* opaque */

struct upkeep *upkeep_new(struct daemon *daemon, struct reclaim *reclaim); /* both borrowed */
void upkeep_free(struct upkeep *upkeep);
void upkeep_lead(struct upkeep *upkeep); /* this process leads from now on: a sweep is due */
void upkeep_tick(struct upkeep *upkeep); /* while it leads */

#endif
