/* daemon/steer.h - what operators have paused, and which environments take no new jobs, as this node
 * knows it.
 *
 * The ledger has it (sql/steer.h); this is a list of it in memory, read at the start and whenever the
 * ledger tells of a change.  A pause reaches jobs three ways: Redis gives no turn of a paused line (the
 * scheduler writes limits), a worker starts nothing of what it has taken already, and a line that is
 * made while its environment is paused is known by its environment before Redis hears of it. */
#ifndef SLUICE_DAEMON_STEER_H
#define SLUICE_DAEMON_STEER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/daemon.h"

#define STEER_RETRY_S 30 /* Retry-After of what a draining environment refuses */

struct steer;                                   /* opaque */
struct steer *steer_new(struct daemon *daemon); /* after the account and the dead store */
void steer_free(struct steer *steer);           /* NULL is fine */
/* Reads the list now: something was changed by this node. */
void steer_reload(struct steer *steer);

/* NULL: nothing is known, and nothing is paused. */
bool steer_is_paused(const struct steer *steer, int64_t environment_id, int64_t key_id);
bool steer_is_draining(const struct steer *steer, int64_t environment_id);

#endif
