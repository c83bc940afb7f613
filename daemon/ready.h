/* daemon/ready.h - can this node do what its roles promise?  GET /ready and READY=1 say the same. */
#ifndef SLUICE_DAEMON_READY_H
#define SLUICE_DAEMON_READY_H

#include <stdbool.h>

#include "base/buf.h"
#include "daemon/daemon.h"

/* why gets what is missing, by "; "; nothing when all is there. */
bool ready_is(const struct daemon *daemon, struct buf *why);

#endif
