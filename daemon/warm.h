/* daemon/warm.h - loads what was deployed, in the background, before its first run.
 *
 * A deploy tells all nodes (ACCOUNT_DEPLOYED); each worker then loads the new versions, one at a
 * time, where pool_warm() finds room and while at most half of the runners are busy.  What there is
 * no room for is loaded by its first run, as ever. */
#ifndef SLUICE_DAEMON_WARM_H
#define SLUICE_DAEMON_WARM_H

#include "daemon/daemon.h"

struct warm; /* opaque */

/* After the account, the directory and the pool. */
struct warm *warm_new(struct daemon *daemon);
void warm_free(struct warm *warm); /* after account and pool, before the directory; NULL is fine */

#endif
