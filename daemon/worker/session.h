/* daemon/worker/session.h - this worker's session in the ledger: opened, kept alive by a beat, ended.
 *
 * OFF -> OPENING -> LIVE -> ENDING -> CLOSING -> OFF, and again unless it was stopped.  One at a time.  In
 * ENDING nothing new is started under it; the owner says when nothing runs any more (session_close()). */
#ifndef SLUICE_DAEMON_WORKER_SESSION_H
#define SLUICE_DAEMON_WORKER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/daemon.h"

enum session_state {
	SESSION_OFF,
	SESSION_OPENING,
	SESSION_LIVE,
	SESSION_ENDING,
	SESSION_CLOSING,
};

struct session; /* opaque */

struct session_events {            /* all from the loop */
	void (*opened)(void *arg); /* LIVE */
	void (*lost)(void *arg);   /* the ledger has ended it; any state but OFF */
	void (*tick)(void *arg);   /* every third of a ttl, while the ledger has it */
	void (*closed)(void *arg); /* OFF */
};

struct session *session_new(struct daemon *daemon, int64_t ttl_ms,
			    const struct session_events *events, void *arg);
void session_free(struct session *session);
enum session_state session_state(const struct session *session);
/* By the monotonic clock and the last good beat; false for ever once it was silenced. */
bool session_may_effect(const struct session *session);
void session_silence(struct session *session);
void session_end(struct session *session);   /* LIVE -> ENDING; else nothing */
void session_close(struct session *session); /* ENDING -> CLOSING (asserted) */
void session_stop(
    struct session *session); /* opens no other one; closed follows if one is on its way */

#endif
