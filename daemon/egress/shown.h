/* daemon/egress/shown.h - a provider's URL as the log may have it. */
#ifndef SLUICE_DAEMON_EGRESS_SHOWN_H
#define SLUICE_DAEMON_EGRESS_SHOWN_H

#include "base/buf.h"

/* Appends scheme, host, path and the names of the query's parameters: no user, no password, no value, no
 * fragment.  A name without a value may be one. */
void shown_url(const char *url, struct buf *out);

#endif
