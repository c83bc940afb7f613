/* daemon/scheduler/recount.h - how many records a model has is counted anew where it is not known: after
 * an upgrade, and where an earlier release has written beside this one.  By the scheduler that leads. */
#ifndef SLUICE_DAEMON_SCHEDULER_RECOUNT_H
#define SLUICE_DAEMON_SCHEDULER_RECOUNT_H

#include "daemon/daemon.h"

struct recount; /* opaque */

struct recount *recount_new(struct daemon *daemon, const char *conninfo); /* copied */
void recount_free(struct recount *recount);
void recount_tick(struct recount *recount); /* while this process leads */
void recount_stop(struct recount *recount); /* it does not lead: ends its connection */

#endif
