/* daemon/worker/guests.h - sync calls of other nodes (and of this one) that this worker takes from Redis:
 * daemon/call.h is their other end.
 *
 * A guest is taken only when it has a place, so that it is started at once.  Its asker is told that it has
 * started, under the name of the lease that it may watch, and how it ended; an answer that Redis did not
 * take is sent again for as long as the asker may wait. */
#ifndef SLUICE_DAEMON_WORKER_GUESTS_H
#define SLUICE_DAEMON_WORKER_GUESTS_H

#include "daemon/worker/calls.h"
#include "daemon/worker/room.h"

struct guests; /* opaque */

/* calls and room are borrowed; worker(arg, shard) is the name of the lease there, "" while there is none;
 * changed(arg): places were given back, or nothing is left to say. */
struct guests_events {
	const char *(*worker)(void *arg, int shard);
	void (*changed)(void *arg);
};
struct guests *guests_new(struct daemon *daemon, struct calls *calls, const struct room *room,
			  const struct guests_events *events, void *arg);
void guests_free(struct guests *guests); /* after the pool and the queues */
void guests_wait(struct guests *guests, int shard, int64_t count); /* so many wait in Redis */
void guests_go_on(struct guests *guests);            /* takes what waits, as far as there is room */
void guests_moved(struct guests *guests, int shard); /* there is another lease: askers are told */
void guests_stop(struct guests *guests);             /* takes no more */
void guests_quiet(struct guests *guests, bool quiet); /* the same, until it is taken back */
bool guests_are_told(const struct guests *guests);    /* no answer is on its way */

#endif
