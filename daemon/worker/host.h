/* daemon/worker/host.h - what a function may ask its worker for, op by op (runtime/channel.h). */
#ifndef SLUICE_DAEMON_WORKER_HOST_H
#define SLUICE_DAEMON_WORKER_HOST_H

#include "daemon/worker/attempt.h"

/* Serves one CALL of a run; the reply comes now or later. */
void host_serve(struct attempt *attempt, int64_t call_id, struct slice op, struct slice meta,
		struct slice body);
/* The attempt is over: requests are cancelled, no reply will be sent. */
void host_cancel_all(struct attempt *attempt);
/* The job was cancelled: what it waits for is stopped and answered with an error.  host_serve() does the
 * same from here on. */
void host_refuse_all(struct attempt *attempt);
/* Gives back the locks that the function still has; nobody waits for the answer. */
void host_release_locks(struct attempt *attempt);

#endif
