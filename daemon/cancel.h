/* daemon/cancel.h - jobs that were cancelled on any node: what this one runs of them ends, and who waits
 * for their result here gets it.
 *
 * The ledger says so by NOTIFY.  After its connection was lost, all that is at work here is looked up
 * instead. */
#ifndef SLUICE_DAEMON_CANCEL_H
#define SLUICE_DAEMON_CANCEL_H

#include "daemon/daemon.h"

struct cancel_watch; /* opaque */

/* Listens on the account connection; daemon->dispatch may come later, or never. */
struct cancel_watch *cancel_watch_new(struct daemon *daemon);
void cancel_watch_free(struct cancel_watch *watch); /* after the account and the ledger */

#endif
