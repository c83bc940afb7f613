/* daemon/scheduler/retention.h - payloads of records that nobody changes any more are emptied, and records
 * of syncs that do not run any more are deleted: a little at a time, by the scheduler that leads.
 *
 * What a pass has done stands in the ledger, so it can end anywhere: the next one, here or on another
 * node, goes on. */
#ifndef SLUICE_DAEMON_SCHEDULER_RETENTION_H
#define SLUICE_DAEMON_SCHEDULER_RETENTION_H

#include "daemon/daemon.h"

struct retention; /* opaque */

struct retention *retention_new(struct daemon *daemon, const char *conninfo); /* copied */
void retention_free(struct retention *retention);
void retention_tick(struct retention *retention); /* while this process leads */
void retention_stop(struct retention *retention); /* it does not lead: ends its connection */

#endif
