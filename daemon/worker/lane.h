/* daemon/worker/lane.h - a worker's hand in one shard of the queue: its lease, the turns it has under it.
 *
 *   OUT -> JOINING -> ACTIVE -> LEAVING -> OUT; ACTIVE -> JOINING when only the lease is gone;
 *   JOINING -> LEAVING
 *
 * JOINING asks Redis for a lease, LEAVING waits for the turns to end.  Turns are taken only in ACTIVE.
 *
 * The session is the fence, the lease is advice: while the session is live nobody else can claim a key of
 * a turn that runs.  So what runs survives the loss of Redis, as an orphan: it is not handed in when it
 * ends, and its key is not run by this worker before. */
#ifndef SLUICE_DAEMON_WORKER_LANE_H
#define SLUICE_DAEMON_WORKER_LANE_H

#include <stdbool.h>

#include "daemon/daemon.h"
#include "daemon/worker/room.h"
#include "daemon/worker/turn.h"

struct lane; /* opaque */

struct lane_events { /* all from the loop */
	/* A turn ended, an exchange was answered, or it is OUT: others may go on. */
	void (*changed)(void *arg);
	/* Keys are held in the ledger that no turn needs and that nobody can prove: let go of them. */
	void (*release)(void *arg);
	/* Only another session can go on. */
	void (*in_doubt)(void *arg, const char *why);
	void (*calls)(void *arg, int shard, int64_t count); /* so many sync calls wait in Redis */
	void (*joined)(void *arg, int shard);               /* ACTIVE, under a new lease */
};

/* room is borrowed. */
struct lane *lane_new(struct daemon *daemon, int shard, int64_t ttl_ms, struct room *room,
		      const struct lane_events *events, void *arg);
void lane_free(struct lane *lane); /* with what turns are left, as they are */

void lane_join(struct lane *lane); /* OUT -> JOINING, under the session that is live */
/* -> LEAVING: runs go on to their end, or (hard) are ended and leave no trace. */
void lane_leave(struct lane *lane, bool hard);
void lane_stop(struct lane *lane); /* what runs goes on, nothing else is started or taken */
/* The same, until it is taken back; keys whose jobs do not run are handed in, and the lease is kept. */
void lane_quiet(struct lane *lane, bool quiet);
void lane_renew(struct lane *lane); /* the lease, by an exchange */
void lane_go_on(struct lane *lane); /* there may be room, or something to hand in */
/* A push is on its way to Redis, on the connection that exchanges go by: one that has no turn asks right behind
 * it, and is spared the wake-up and a sync of Redis's log.  With turns it is left: each exchange that ends
 * one asks for more anyway. */
void lane_expect(struct lane *lane);
const char *lane_worker(const struct lane *lane); /* the lease's name */
bool lane_is_out(const struct lane *lane);
bool lane_is_active(const struct lane *lane);
bool lane_is_idle(const struct lane *lane); /* no turn, and none asked for */

struct turn *lane_turns(const struct lane *lane); /* the first of them, by turn->next */
/* Jobs up to seq may have been cancelled: of a key, or of all (key_id 0).  Judge them before they start. */
void lane_judge(struct lane *lane, int64_t key_id, int64_t seq);

#endif
