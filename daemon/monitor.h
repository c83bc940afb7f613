/* daemon/monitor.h - what this node shows of itself: its metrics, and a listener for them.
 *
 * The API serves /metrics too; the listener of the setting metrics_listen is for nodes that have no API,
 * and for networks that the API is not on.  It serves GET /metrics, /health and /ready and asks for no key:
 * who may reach the address may read. */
#ifndef SLUICE_DAEMON_MONITOR_H
#define SLUICE_DAEMON_MONITOR_H

#include "base/buf.h"
#include "daemon/daemon.h"

#define MONITOR_TEXT_MAX (8 << 20) /* bytes of the metrics; today some 40 KiB */
#define MONITOR_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct monitor; /* opaque */

/* On the sockets that were passed for it, else where metrics_listen says; NULL in *out when there is
 * neither.  SL_INVALID, SL_CONFLICT, SL_UNAVAILABLE: as
 * http_server_listen(). */
SL_MUST_USE enum sl_code monitor_new(struct daemon *daemon, struct monitor **out,
				     struct sl_error *error);
void monitor_free(struct monitor *monitor); /* NULL is fine */

/* Looks at the gauges, then appends all metrics of this process. */
void monitor_write(const struct daemon *daemon, struct buf *out);

#endif
