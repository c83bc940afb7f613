/* daemon/scheduler/scheduler.h - the one active scheduler of a fleet: lost workers, due retries,
 * lost pushes, lost Redis.
 *
 * Any number of nodes run it; the ledger's advisory lock makes one of them act. */
#ifndef SLUICE_DAEMON_SCHEDULER_SCHEDULER_H
#define SLUICE_DAEMON_SCHEDULER_SCHEDULER_H

#include <stdbool.h>

#include "base/error.h"
#include "daemon/daemon.h"

struct scheduler; /* opaque */

/* conninfo: of a direct connection (the lock is the session's). */
struct scheduler *scheduler_new(struct daemon *daemon, const char *conninfo);
/* Ends the sessions of earlier processes in a private ledger, which nobody else can be using; runs
 * the loop until done.  Before this process opens one of its own. */
SL_MUST_USE enum sl_code scheduler_clear(struct scheduler *scheduler, struct sl_error *error);
bool scheduler_leads(const struct scheduler *scheduler); /* is this the active one? */
void scheduler_free(struct scheduler *scheduler);

#endif
