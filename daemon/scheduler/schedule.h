/* daemon/scheduler/schedule.h - runs of syncs that are due, and what deploys, new connections and removals
 * leave to do (sql/schedule.h); by the scheduler that leads.
 *
 * One question to the ledger at a time: due runs, syncs to be made, syncs to be removed, in turn, each in
 * pieces.  When there is nothing to do, a timer waits for the next slot; SCHEDULE_CHANGED and a look every
 * SCHEDULE_LOOK_MS tell of earlier ones.  Between passes that find few lie SCHEDULE_GAP_MS, so that slots
 * which lie close together are taken together; one that comes alone starts on time.
 *
 * Jobs are pushed as they were accepted; the next pass waits for the answer, so that the depth of an
 * environment is known by then.  What could not be pushed is the sweep's. */
#ifndef SLUICE_DAEMON_SCHEDULER_SCHEDULE_H
#define SLUICE_DAEMON_SCHEDULER_SCHEDULE_H

#include "daemon/daemon.h"

#define SCHEDULE_LOOK_MS 5000
#define SCHEDULE_GAP_MS 100

struct schedule; /* opaque */

/* conninfo: borrowed for the call. */
struct schedule *schedule_new(struct daemon *daemon, const char *conninfo);
/* Before the queues are freed; what they answer later is ignored. */
void schedule_free(struct schedule *schedule);
void schedule_tick(struct schedule *schedule); /* often, while this scheduler leads */
/* It does not lead (any more).  A question that is under way is answered, and harmless. */
void schedule_rest(struct schedule *schedule);

#endif
