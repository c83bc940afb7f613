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
	room->call_runners = (int)config_int(config, "call_runners");
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

static int
taken(const struct room *room)
{
	int places = 0;

	for (int i = 0; i < room->share_count; i++)
		places += room->shares[i].turns + room->shares[i].reserved;
	return places;
}

int
room_for_calls(const struct room *room)
{
	return room->call_runners + room->runners - taken(room) - calls_places(room->calls);
}

int
room_left(const struct room *room)
{
	int calls = calls_places(room->calls) + calls_waiting(room->calls) - room->call_runners;

	return room->runners - taken(room) - (calls > 0 ? calls : 0);
}

/* The hungry shard with the fewest places; between equals the one that asked longest ago. */
static int
poorest(const struct room *room, const int *places)
{
	int found = -1;

	for (int i = 0; i < room->share_count; i++) {
		if (!room->shares[i].hungry)
			continue;
		if (found < 0 || places[i] < places[found] ||
		    (places[i] == places[found] &&
		     room->shares[i].asked < room->shares[found].asked))
			found = i;
	}
	return found;
}

int
room_for_share(const struct room *room, int shard, int handed)
{
	int left = room_left(room) + handed, mine = 0, next;
	int *places = sl_calloc((size_t)room->share_count, sizeof(*places));

	for (int i = 0; i < room->share_count; i++)
		places[i] = room->shares[i].turns + room->shares[i].reserved;
	places[shard] -= handed;
	for (; left > 0 && (next = poorest(room, places)) >= 0; left--) {
		mine += next == shard ? 1 : 0;
		places[next]++;
	}
	free(places);
	return mine;
}

void
room_ask(struct room *room, int shard, int places)
{
	struct room_share *share = &room->shares[shard];

	assert(share->reserved == 0 && places >= 0);
	share->reserved = places;
	if (places > 0)
		share->asked = ++room->asked;
}

void
room_answered(struct room *room, int shard)
{
	room->shares[shard].reserved = 0;
}
