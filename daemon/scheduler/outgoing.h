/* daemon/scheduler/outgoing.h - how deliveries and endpoints stand in the fleet, as metrics,
 * every ten seconds; by the scheduler that leads, so that each is counted once. */
#ifndef SLUICE_DAEMON_SCHEDULER_OUTGOING_H
#define SLUICE_DAEMON_SCHEDULER_OUTGOING_H

#include "daemon/daemon.h"

struct outgoing; /* opaque */

struct outgoing *outgoing_new(struct daemon *daemon, const char *conninfo); /* copied */
void outgoing_free(struct outgoing *outgoing);
void outgoing_tick(struct outgoing *outgoing); /* while this process leads */
void outgoing_stop(struct outgoing *outgoing); /* it does not lead: ends its connection */

#endif
