/* daemon/scheduler/refresher.h - connections that nobody uses are kept fresh (wire.md 5.4): refresh tokens of many
 * providers end when they are not used for some weeks.  By the scheduler that leads, a few at a time. */
#ifndef SLUICE_DAEMON_SCHEDULER_REFRESHER_H
#define SLUICE_DAEMON_SCHEDULER_REFRESHER_H

#include "daemon/daemon.h"

struct refresher; /* opaque */

struct refresher *refresher_new(struct daemon *daemon);
void refresher_free(struct refresher *refresher); /* after what it asked for was answered: fresh_free() */
void refresher_tick(struct refresher *refresher); /* while this process leads */

#endif
