/* daemon/sync_start.h - one run of a sync that is asked for, by the API or a function.  The next run of one
 * that was interrupted comes with its result (run_settled() of 0015_sync_state.sql). */
#ifndef SLUICE_DAEMON_SYNC_START_H
#define SLUICE_DAEMON_SYNC_START_H

#include "daemon/daemon.h"
#include "sql/sync.h"

struct sync_start_how {
	bool reset;       /* forget checkpoint and last success, and end the run that is open */
	bool empty_cache; /* the run starts by removing the sync's records */
	bool must;        /* a queue that is full is no reason to refuse it (submit.h) */
};

/* SL_OK: started is false when a run is open already.  Else nothing was started; SL_EXHAUSTED: too
 * many jobs of the environment wait (submit.h).  May come from inside the call. */
typedef void sync_start_cb(void *arg, enum sl_code code, bool started,
			   const struct sl_error *error);
/* row is of an active version, and borrowed for the call; cb comes once. */
void sync_start(struct daemon *daemon, const struct sync_row *row, const struct sync_start_how *how,
		sync_start_cb *cb, void *arg);

#endif
