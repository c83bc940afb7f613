/* daemon/service.h - what sluiced does as a service once its parts are made: it says when it is ready and
 * what it is doing, reloads on SIGHUP, and stops on SIGTERM or SIGINT.
 *
 * STARTING -> READY -> DRAINING -> HURRYING; a stop may come in any state.  DRAINING lets what runs
 * finish for drain_timeout; the second signal gives it and the end of the session a second, no more. */
#ifndef SLUICE_DAEMON_SERVICE_H
#define SLUICE_DAEMON_SERVICE_H

#include "daemon/daemon.h"
#include "daemon/notify.h"
#include "daemon/settings.h"

struct service; /* opaque */

/* Takes the signals from now on: one that comes before service_run() is kept until then.  All are
 * borrowed; config is daemon->config as one that a reload may change. */
struct service *service_new(struct daemon *daemon, struct config *config,
			    const struct settings_sources *sources);
/* All parts are there: runs the loop until a stop is complete. */
SL_MUST_USE enum sl_code service_run(struct service *service, struct sl_error *error);
/* Further signals are ignored: what is left of the stop is short. */
void service_free(struct service *service);

#endif
