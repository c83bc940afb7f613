/* daemon/worker/room.h - the places for runs on this node, and which shard may have the next ones.
 *
 * Runs of syncs may last for hours: turns of theirs (long ones) may have some of the places only, so that
 * there is always one that comes free soon.
 *
 * A run that waits for a provider's window lends its place, up to runners_waiting of them: it goes on at once
 * when the wait is over, beyond the limits if need be, and nothing else is started until that is made up for.
 *
 * A turn has a place, and so has a call.  Shards do not know of each other, so this is where they are kept
 * fair: a free place is for the shard that has the fewest of them among those that may have work, and
 * between equals for the one that asked longest ago.  A shard with endless work has all places only while
 * the others have nothing to run. */
#ifndef SLUICE_DAEMON_WORKER_ROOM_H
#define SLUICE_DAEMON_WORKER_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"

struct calls;

struct room_part {
	int turns; /* that it has */
	int lent; /* of these: their runs wait for a provider's window, others may have their places */
	int reserved;  /* that it asked for and has no answer about */
	bool hungry;   /* it may have more work than it was given */
	int64_t asked; /* when it last asked for places: a count */
};

struct room_share { /* of one shard; kept by its lane */
	struct room_part all;
	struct room_part longs; /* those of all that are for long turns */
};

struct room_places {
	int all;
	int longs; /* of these, for long turns at most */
};

struct room {
	int runners, sync_runners, call_runners;
	int waiting_max, waiting;  /* runs whose places are lent */
	const struct calls *calls; /* borrowed */
	struct room_share *shares; /* owned */
	int share_count;
	int64_t asked;
};

struct room *room_new(const struct config *config, const struct calls *calls, int shards);
void room_free(struct room *room);
/* Places for turns that nobody has and no call needs; below 0 while there are more calls.  The setting
 * call_runners says how many of the calls need none of them. */
int room_left(const struct room *room);
int room_long_left(const struct room *room); /* of these, for long turns at most */
int room_for_calls(const struct room *room); /* how many calls may start now */
/* Which of the places that are left, and of those that it hands in, a shard may ask for now. */
struct room_places room_for_share(const struct room *room, int shard, struct room_places handed);
/* It asks for them; room_answered() follows. */
void room_ask(struct room *room, int shard, struct room_places places);
void room_answered(struct room *room, int shard);

/* A run begins to wait, and its place is lent (false: too many are already); room_unlend() ends that.  The turn it
 * is of, if any, says so to its shard's share by room_lend_turn(). */
bool room_lend(struct room *room);
void room_unlend(struct room *room);
void room_lend_turn(struct room *room, int shard, bool is_long, bool lent);

#endif
