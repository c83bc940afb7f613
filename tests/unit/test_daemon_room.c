/* tests/unit/test_daemon_room.c - daemon/worker/room: which shard may have the next places, and long turns. */
#include "daemon/worker/room.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "daemon/worker/calls.h"
#include "tests/lib/check.h"

static const struct config_row rows[] = {
    {"runners", CONFIG_INT, "16", 1, 4096, "", NULL, 0},
    {"sync_runners", CONFIG_INT, "12", 1, 4096, "", NULL, 0},
    {"call_runners", CONFIG_INT, "8", 0, 4096, "", NULL, 0},
    {"runners_waiting", CONFIG_INT, "3", 0, 4096, "", NULL, 0},
    {NULL, CONFIG_TEXT, NULL, 0, 0, NULL, NULL, 0},
};
static int calls; /* that run */

int
calls_places(const struct calls *of)
{
	(void)of;
	return calls;
}

int
calls_waiting(const struct calls *of)
{
	(void)of;
	return 0;
}

static struct room *
room_of(char *runners, char *sync_runners, int shards)
{
	char *argv[] = {(char[]){"room"}, runners, sync_runners, NULL}, *none[] = {NULL};
	int argc = 3;
	struct config *config;
	struct sl_error error;
	struct room *room;

	check_int(config_load(rows, NULL, none, &argc, argv, &config, &error), ==, SL_OK);
	calls = 0;
	room = room_new(config, NULL, shards);
	config_free(config);
	return room;
}

#define ROOM(runners, longs, shards) \
	room_of((char[]){"--runners=" runners}, (char[]){"--sync-runners=" longs}, shards)

static void
hungry(struct room *room, int shard, bool all, bool longs)
{
	room->shares[shard].all.hungry = all;
	room->shares[shard].longs.hungry = longs;
}

static void
check_share(const struct room *room, int shard, int all, int longs)
{
	struct room_places places = room_for_share(room, shard, (struct room_places){0});

	check_int(places.all, ==, all);
	check_int(places.longs, ==, longs);
}

/* The shard asks and gets what it asks for. */
static void
take(struct room *room, int shard)
{
	struct room_places places = room_for_share(room, shard, (struct room_places){0});

	room_ask(room, shard, places);
	room_answered(room, shard);
	room->shares[shard].all.turns += places.all;
	room->shares[shard].longs.turns += places.longs;
}

static void
there_is_always_a_place_that_no_long_turn_has(void)
{
	static const struct {
		const char *runners, *longs;
		int left;
	} cases[] = {{"16", "12", 12}, {"16", "16", 15}, {"16", "4000", 15},
		     {"2", "12", 1},   {"1", "12", 1},   {"16", "1", 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *runners = sl_asprintf("--runners=%s", cases[i].runners);
		char *longs = sl_asprintf("--sync-runners=%s", cases[i].longs);
		struct room *room = room_of(runners, longs, 1);

		check_int(room_long_left(room), ==, cases[i].left);
		room_free(room);
		free(runners);
		free(longs);
	}
}

static void
long_turns_have_some_of_the_places_and_calls_go_first(void)
{
	struct room *room = ROOM("10", "6", 1);

	hungry(room, 0, true, false);
	check_share(room, 0, 10, 6);
	take(room, 0);
	check_share(room, 0, 0, 0);
	check_int(room_for_share(room, 0, (struct room_places){3, 1}).all, ==, 3);
	check_int(room_for_share(room, 0, (struct room_places){3, 1}).longs, ==, 1);
	room->shares[0] = (struct room_share){.all = {.hungry = true}};
	calls = 8 + 7; /* seven of them in places of jobs */
	check_share(room, 0, 3, 3);
	check_int(room_long_left(room), ==, 3);
	room_free(room);
}

static void
places_asked_for_are_nobody_elses(void)
{
	struct room *room = ROOM("10", "6", 2);

	hungry(room, 0, true, true);
	room_ask(room, 0, room_for_share(room, 0, (struct room_places){0}));
	hungry(room, 1, true, true);
	check_share(room, 1, 0, 0);
	room_answered(room, 0);
	check_share(room, 1, 5, 3); /* of two that are hungry */
	room_free(room);
}

/* Else a shard with endless runs would keep the places that it hands in for ever. */
static void
a_shard_whose_runs_wait_gets_the_next_place_for_them(void)
{
	struct room *room = ROOM("10", "6", 2);

	hungry(room, 0, true, false);
	take(room, 0);
	check_int(room->shares[0].longs.turns, ==, 6);
	hungry(room, 0, true, true);
	hungry(room, 1, false, true);
	room->shares[0].longs.turns--; /* one has ended, and is handed in */
	room->shares[0].all.turns--;
	check_share(room, 1, 1, 1);
	check_share(room, 0, 0, 0);
	room_free(room);
}

/* It asks for nothing else: it was told that it has nothing else. */
static void
a_shard_that_has_runs_only_asks_for_no_more_than_their_places(void)
{
	struct room *room = ROOM("10", "6", 2);

	hungry(room, 0, false, true);
	check_share(room, 0, 6, 6);
	take(room, 0);
	check_share(room, 0, 0, 0);
	hungry(room, 1, true, false);
	check_share(room, 1, 4, 0);
	room_free(room);
}

static void
a_turn_whose_run_waits_lends_its_place(void)
{
	struct room *room = ROOM("4", "2", 2);

	hungry(room, 0, true, true);
	take(room, 0);
	check_int(room_left(room), ==, 0);
	check(room_lend(room));
	room_lend_turn(room, 0, true, true);
	check_int(room->shares[0].all.turns, ==, 4); /* it has them all the same */
	hungry(room, 0, false, false);
	hungry(room, 1, true, true);
	check_share(room, 1, 1, 1);
	check(room_lend(room));
	room_lend_turn(room, 0, false, true);
	check_share(room, 1, 2, 1); /* a place of no long turn is for others, too */
	take(room, 1);
	check_share(room, 1, 0, 0);
	room_lend_turn(room, 0, true, false); /* it goes on at once, */
	room_unlend(room);
	check_int(room_left(room), ==, -1); /* and that is made up for */
	room->shares[1].all.turns--;
	check_share(room, 1, 0, 0);
	room_lend_turn(room, 0, false, false);
	room_unlend(room);
	room_free(room);
}

static void
a_call_has_the_place_that_a_run_lends(void)
{
	struct room *room = ROOM("2", "1", 1);

	hungry(room, 0, true, false);
	take(room, 0);
	calls = 8;
	check_int(room_for_calls(room), ==, 0);
	room_lend_turn(room, 0, false, true);
	check_int(room_for_calls(room), ==, 1);
	room_lend_turn(room, 0, false, false);
	room_free(room);
}

static void
no_more_runs_lend_their_places_than_the_setting_says(void)
{
	struct room *room = ROOM("10", "6", 1);

	for (int i = 0; i < 3; i++)
		check(room_lend(room));
	check(!room_lend(room));
	room_unlend(room);
	check(room_lend(room));
	room_free(room);
}

int
main(void)
{
	CHECK_RUN(there_is_always_a_place_that_no_long_turn_has);
	CHECK_RUN(long_turns_have_some_of_the_places_and_calls_go_first);
	CHECK_RUN(places_asked_for_are_nobody_elses);
	CHECK_RUN(a_shard_whose_runs_wait_gets_the_next_place_for_them);
	CHECK_RUN(a_shard_that_has_runs_only_asks_for_no_more_than_their_places);
	CHECK_RUN(a_turn_whose_run_waits_lends_its_place);
	CHECK_RUN(a_call_has_the_place_that_a_run_lends);
	CHECK_RUN(no_more_runs_lend_their_places_than_the_setting_says);
	return check_done();
}
