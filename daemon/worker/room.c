#include "daemon/worker/room.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/worker/calls.h"

struct room *
room_new(const struct config *config, const struct calls *calls, int shards)
{
	struct room *room = sl_alloc(sizeof(*room));

	room->runners = (int)config_int(config, "runners");
	room->sync_runners = (int)config_int(config, "sync_runners");
	if (room->sync_runners >= room->runners && room->runners > 1)
		room->sync_runners = room->runners - 1;
	room->call_runners = (int)config_int(config, "call_runners");
	room->waiting_max = (int)config_int(config, "runners_waiting");
	room->calls = calls;
	room->shares = sl_calloc((size_t)shards, sizeof(*room->shares));
	room->share_count = shards;
	return room;
}

void
room_free(struct room *room)
{
	if (room == NULL)
		return;
	free(room->shares);
	free(room);
}

static const struct room_part *
part_of(const struct room *room, int shard, bool longs)
{
	return longs ? &room->shares[shard].longs : &room->shares[shard].all;
}

static int
places_of(const struct room_part *part)
{
	return part->turns - part->lent + part->reserved;
}

static int
taken(const struct room *room, bool longs)
{
	int places = 0;

	for (int i = 0; i < room->share_count; i++)
		places += places_of(part_of(room, i, longs));
	return places;
}

int
room_for_calls(const struct room *room)
{
	return room->call_runners + room->runners - taken(room, false) - calls_places(room->calls);
}

int
room_left(const struct room *room)
{
	int calls = calls_places(room->calls) + calls_waiting(room->calls) - room->call_runners;

	return room->runners - taken(room, false) - (calls > 0 ? calls : 0);
}

static int
longs_left(const struct room *room)
{
	return room->sync_runners - taken(room, true);
}

int
room_long_left(const struct room *room)
{
	int left = room_left(room), longs = longs_left(room);

	return longs < left ? longs : left;
}

/* The hungry shard with the fewest places; between equals the one that asked longest ago. */
static int
poorest(const struct room *room, bool longs, const int *places, const bool *hungry)
{
	int found = -1;

	for (int i = 0; i < room->share_count; i++) {
		if (!hungry[i])
			continue;
		if (found < 0 || places[i] < places[found] ||
		    (places[i] == places[found] &&
		     part_of(room, i, longs)->asked < part_of(room, found, longs)->asked))
			found = i;
	}
	return found;
}

/* How many of the left places are for the shard, which has handed some in. */
static int
share_of(const struct room *room, bool longs, int shard, int left, int handed, const bool *hungry)
{
	int *places = sl_calloc((size_t)room->share_count, sizeof(*places));
	int mine = 0, next;

	for (int i = 0; i < room->share_count; i++)
		places[i] = places_of(part_of(room, i, longs));
	places[shard] -= handed;
	for (; left > 0 && (next = poorest(room, longs, places, hungry)) >= 0; left--) {
		mine += next == shard ? 1 : 0;
		places[next]++;
	}
	free(places);
	return mine;
}

struct room_places
room_for_share(const struct room *room, int shard, struct room_places handed)
{
	bool *hungry = sl_calloc((size_t)room->share_count, sizeof(*hungry));
	const struct room_share *share = &room->shares[shard];
	int longs = longs_left(room) + handed.longs;
	struct room_places mine;

	for (int i = 0; i < room->share_count;
	     i++) /* who asks anyway takes what nobody waits for */
		hungry[i] =
		    room->shares[i].longs.hungry || (i == shard && room->shares[i].all.hungry);
	mine.longs = share_of(room, true, shard, longs, handed.longs, hungry);
	for (int i = 0; i < room->share_count; i++)
		hungry[i] =
		    room->shares[i].all.hungry || (room->shares[i].longs.hungry && longs > 0);
	mine.all = share_of(room, false, shard, room_left(room) + handed.all, handed.all, hungry);
	if (!share->all.hungry && mine.longs < mine.all)
		mine.all = mine.longs;
	if (mine.longs > mine.all)
		mine.longs = mine.all;
	free(hungry);
	return mine;
}

static void
ask(struct room *room, struct room_part *part, int places)
{
	assert(part->reserved == 0 && places >= 0);
	part->reserved = places;
	if (places > 0)
		part->asked = ++room->asked;
}

void
room_ask(struct room *room, int shard, struct room_places places)
{
	ask(room, &room->shares[shard].all, places.all);
	ask(room, &room->shares[shard].longs, places.longs);
}

void
room_answered(struct room *room, int shard)
{
	room->shares[shard].all.reserved = 0;
	room->shares[shard].longs.reserved = 0;
}

bool
room_lend(struct room *room)
{
	if (room->waiting >= room->waiting_max)
		return false;
	room->waiting++;
	return true;
}

void
room_unlend(struct room *room)
{
	assert(room->waiting > 0);
	room->waiting--;
}

void
room_lend_turn(struct room *room, int shard, bool is_long, bool lent)
{
	struct room_share *share = &room->shares[shard];

	share->all.lent += lent ? 1 : -1;
	if (is_long)
		share->longs.lent += lent ? 1 : -1;
	assert(share->all.lent >= 0 && share->longs.lent >= 0);
}
