/* queue/ against a real Redis: keys whose jobs may run for hours.
 * SLUICE_TEST_REDIS names the server (a URL or a socket's path); it is emptied.  77: not set. */
#include "queue/overview.h"
#include "tests/integration/queue_rig.h"

#define A "1.aaaa"
#define B "2.bbbb"
#define LONG 50 /* keys from it on */

static struct rig rig;
static struct taken taken, other;

static void
open_rig(void)
{
	rig_long_from = LONG;
	rig_open(&rig, rig_url());
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	check_int(join(&rig, B, RIG_TTL_MS).code, ==, SL_OK);
}

static void
close_rig(void)
{
	taken_fini(&taken);
	taken_fini(&other);
	rig_close(&rig);
}

static void
limits(int64_t key, int slots, int64_t second, int second_slots)
{
	const struct ready_limit both[] = {{key, slots}, {second, second_slots}};

	check_int(set_limits(&rig, both, second != 0 ? 2 : 1).code, ==, SL_OK);
}

/* With eight jobs in a turn. */
static void
take(const char *worker, int turns, int longs, const struct lease_hand *hands, int count,
     struct taken *into)
{
	struct lease_want want = {.turns = turns, .longs = longs, .jobs = 8};

	exchange_longs(&rig, worker, &want, hands, count, into);
	check_int(into->code, ==, SL_OK);
}

/* The score of a key in a line; -1: it does not stand there. */
static long long
place(const char *line, int64_t key)
{
	redisReply *reply =
	    redisCommand(rig.raw, "ZSCORE sluice:{s00}:%s %lld", line, (long long)key);
	long long score = reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : -1;

	freeReplyObject(reply);
	return score;
}

struct asked {
	bool done;
	enum ready_place *places;
};

static void
on_places(void *arg, enum sl_code code, const enum ready_place *places, int count)
{
	struct asked *asked = arg;

	check_int(code, ==, SL_OK);
	memcpy(asked->places, places, (size_t)count * sizeof(*places));
	asked->done = true;
}

static void
ask_places(int64_t key, const int64_t *seqs, int count, enum ready_place *places)
{
	struct asked asked = {.places = places};

	ready_missing(rig.queue, key, seqs, count, on_places, &asked);
	rig_until(&rig, &asked.done);
}

static void
on_overview(void *arg, enum sl_code code, const struct overview_environment *environments,
	    int count, const struct sl_error *error)
{
	(void)error;
	check_int(code, ==, SL_OK);
	check_int(count, ==, 1);
	check_int(environments[0].line_count, ==, 1);
	check_int(environments[0].line[0].depth, ==, 120);
	check_int(environments[0].line[0].running, ==, 100);
	*(bool *)arg = true;
}

static struct said
wait_without_longs(int64_t wait_ms)
{
	struct said said = {0};

	lease_wait(rig.queue, wait_ms, false, on_said, &said);
	rig_until(&rig, &said.done);
	return said;
}

static void
each_slot_has_one_job(void)
{
	open_rig();
	limits(LONG, 3, 0, 0);
	push_run(&rig, READY_NEW, LONG, 1, 100);
	take(A, 8, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 3);
	for (int i = 0; i < 3; i++) {
		check_int(taken.turns[i].lane, ==, 's');
		check_int(taken.turns[i].slot, ==, i);
		check_int(taken.turns[i].count, ==, 1);
		check_int(taken.turns[i].seqs[0], ==, i + 1);
	}
	check_int(raw_int(&rig, "LLEN sluice:{s00}:q:%d", LONG), ==, 97);
	close_rig();
}

/* As many as there are places for them; the others are given past them. */
static void
they_are_in_nobodys_way(void)
{
	struct lease_hand hand;

	open_rig();
	limits(LONG, 100, LONG + 1, 100);
	push_run(&rig, READY_NEW, LONG, 1, 100);
	push_run(&rig, READY_NEW, LONG + 1, 101, 200);
	for (int key = 1; key <= 3; key++)
		push_run(&rig, READY_NEW, key, 200 + key, 200 + key);
	take(A, 5, 2, NULL, 0, &taken);
	check_int(taken.count, ==, 5);
	check_int(taken.turns[0].key, ==, LONG);
	check_int(taken.turns[1].key, ==, LONG + 1);
	for (int i = 2; i < 5; i++)
		check_int(taken.turns[i].key, ==, i - 1);
	check_int(taken.waits.longs, ==, 2);
	push_run(&rig, READY_NEW, 1, 300, 300);
	hand = hand_of(&taken.turns[2], 1, 1);
	take(B, 4, 0, NULL, 0, &other); /* key 1 is held */
	check_int(other.count, ==, 0);
	take(A, 1, 0, &hand, 1, &taken);
	check_int(taken.count, ==, 1);
	check_int(taken.turns[0].key, ==, 1);
	take(B, 4, 1, NULL, 0, &other);
	check_int(other.count, ==, 1);
	check(other.turns[0].key >= LONG);
	close_rig();
}

static void
who_holds_the_fewest_slots_is_next(void)
{
	struct lease_hand hands[2];

	open_rig();
	limits(LONG, 100, LONG + 1, 100);
	push_run(&rig, READY_NEW, LONG, 1, 10000);
	take(A, 12, 12, NULL, 0, &taken);
	check_int(taken.count, ==, 12);
	push_run(&rig, READY_NEW, LONG + 1, 10001, 10100);
	hands[0] = hand_of(&taken.turns[0], 1, 1);
	hands[1] = hand_of(&taken.turns[1], 1, 1);
	take(A, 1, 1, &hands[0], 1, &other);
	check_int(other.count, ==, 1);
	check_int(other.turns[0].key, ==, LONG + 1);
	take(A, 1, 1, &hands[1], 1, &other); /* 1 against 10 */
	check_int(other.turns[0].key, ==, LONG + 1);
	take(B, 8, 8, NULL, 0, &other); /* until they are even */
	for (int i = 0; i < 8; i++)
		check_int(other.turns[i].key, ==, LONG + 1);
	take(B, 2, 2, NULL, 0, &other);
	check_int(other.turns[0].key + other.turns[1].key, ==, 2 * LONG + 1);
	close_rig();
}

/* A run of the key that goes on for a day must not keep others out. */
static void
a_limit_of_one_that_is_raised_counts_beside_the_job_that_runs(void)
{
	open_rig();
	push_run(&rig, READY_NEW, LONG, 1, 9);
	take(A, 4, 4, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check_int(taken.turns[0].lane, ==, 's');
	take(B, 4, 4, NULL, 0, &other);
	check_int(other.count, ==, 0);
	limits(LONG, 3, 0, 0);
	take(B, 4, 4, NULL, 0, &other);
	check_int(other.count, ==, 2);
	close_rig();
}

static void
a_lowered_limit_ends_nothing_and_starts_nothing(void)
{
	struct lease_hand hand;

	open_rig();
	limits(LONG, 3, 0, 0);
	push_run(&rig, READY_NEW, LONG, 1, 9);
	take(A, 4, 4, NULL, 0, &taken);
	check_int(taken.count, ==, 3);
	limits(LONG, 1, 0, 0);
	for (int i = 0; i < 2; i++) {
		hand = hand_of(&taken.turns[2 - i], 1, 1);
		take(A, 4, 4, &hand, 1, &other);
		check_int(other.count, ==, 0);
	}
	hand = hand_of(&taken.turns[0], 1, 1);
	take(A, 4, 4, &hand, 1, &other);
	check_int(other.count, ==, 1);
	check_int(other.turns[0].seqs[0], ==, 4);
	close_rig();
}

static void
a_paused_one_waits_and_goes_on(void)
{
	open_rig();
	limits(LONG, 3, 0, 0);
	push_run(&rig, READY_NEW, LONG, 1, 9);
	limits(LONG, 0, 0, 0);
	take(A, 4, 4, NULL, 0, &taken);
	check_int(taken.count, ==, 0);
	raw_int(&rig, "DEL sluice:{s00}:long_wake");
	limits(LONG, 3, 0, 0);
	check_int(wait_token(&rig, 1000).value, ==, LEASE_TOKEN_LONG);
	take(A, 4, 4, NULL, 0, &taken);
	check_int(taken.count, ==, 3);
	close_rig();
}

/* Else a worker that has a place for anything but these would be woken again and again. */
static void
only_who_has_a_place_for_them_is_woken(void)
{
	struct said said = {0};

	open_rig();
	push_run(&rig, READY_NEW, LONG, 1, 2);
	check_int(wait_without_longs(50).value, ==, 0);
	check_int(wait_token(&rig, 1000).value, ==, LEASE_TOKEN_LONG);
	take(A, 4, 0, NULL, 0, &taken); /* leaves it behind: a token for who can */
	check_int(taken.count, ==, 0);
	check_int(wait_without_longs(50).value, ==, 0);
	check_int(wait_token(&rig, 1000).value, ==, LEASE_TOKEN_LONG);
	lease_wake(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.value, ==, 1);
	check_int(wait_token(&rig, 1000).value, ==, LEASE_TOKEN_LONG);
	push_run(&rig, READY_NEW, 1, 3, 3);
	check_int(wait_without_longs(1000).value, ==, LEASE_TOKEN);
	take(A, 4, 4, NULL, 0, &taken);
	check_int(taken.count, ==, 2);
	take(B, 4, 4, NULL, 0, &other); /* the other one of the key waits for its slot */
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:long_wake sluice:{s00}:wake"), ==, 0);
	close_rig();
}

static void
slots_of_a_lost_worker_go_first_among_as_busy_ones(void)
{
	open_rig();
	limits(LONG, 4, LONG + 1, 4);
	push_run(&rig, READY_NEW, LONG, 1, 9);
	take(A, 2, 2, NULL, 0, &taken);
	take(B, 1, 1, NULL, 0, &other);
	push_run(&rig, READY_NEW, LONG + 1, 10, 19);
	check_int(expire(&rig, A).value, ==, 1);
	check_int(place("long_ready", LONG) >> 40, ==, 1);
	check_int(place("ready", LONG), <, 0);
	check_int(wait_token(&rig, 1000).value, ==, LEASE_TOKEN_LONG);
	take(B, 8, 8, NULL, 0, &other);
	check_int(other.turns[0].key, ==, LONG + 1);
	check_int(other.turns[1].key, ==, LONG);
	check_int(other.turns[1].seqs[0], ==, 1); /* what the lost slot had, before new ones */
	check_text(other.turns[1].holder, A);
	close_rig();
}

/* An earlier release knows one line. */
static void
one_in_the_line_of_the_others_is_moved_to_its_own(void)
{
	open_rig();
	limits(LONG, 4, 0, 0);
	push_run(&rig, READY_NEW, LONG, 1, 9);
	raw_int(&rig, "DEL sluice:{s00}:long_ready");
	raw_int(&rig, "ZADD sluice:{s00}:ready 1 %d", LONG);
	push_run(&rig, READY_NEW, 1, 10, 10);
	take(A, 1, 0, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check_int(taken.turns[0].key, ==, 1);
	check_int(place("ready", LONG), <, 0);
	check_int(taken.waits.longs, ==, 1);
	raw_int(&rig, "DEL sluice:{s00}:long_ready");
	raw_int(&rig, "ZADD sluice:{s00}:ready 1 %d", LONG);
	take(A, 2, 2, NULL, 0, &taken); /* with room it is taken at once */
	check_int(taken.count, ==, 2);
	close_rig();
}

/* A slot is always held, so "held" cannot mean that the key is looked after. */
static void
a_sweep_lines_one_up_that_is_held_by_others(void)
{
	enum ready_place places[3];
	const int64_t seqs[] = {1, 5, 99};

	open_rig();
	limits(LONG, 4, 0, 0);
	push_run(&rig, READY_NEW, LONG, 1, 9);
	take(A, 1, 1, NULL, 0, &taken);
	raw_int(&rig, "DEL sluice:{s00}:long_ready");
	ask_places(LONG, seqs, 3, places);
	check_int(places[0], ==, READY_THERE); /* in the hands of A */
	check_int(places[1], ==, READY_WAITS);
	check_int(places[2], ==, READY_MISSING);
	check_int(place("long_ready", LONG) >> 40, ==, 1);
	limits(LONG, 1, 0, 0);
	raw_int(&rig, "DEL sluice:{s00}:long_ready");
	ask_places(LONG, seqs, 3, places);
	check_int(place("long_ready", LONG), <, 0); /* it may start no more */
	close_rig();
}

static void
what_runs_of_one_is_counted_whole(void)
{
	const int64_t environment = rig_environment(LONG);
	bool seen = false;

	open_rig();
	limits(LONG, 100, 0, 0);
	push_run(&rig, READY_NEW, LONG, 1, 120);
	take(A, 100, 100, NULL, 0, &taken);
	check_int(taken.count, ==, 100);
	queue_overview(rig.queue, &environment, 1, on_overview, &seen);
	rig_until(&rig, &seen);
	check_int(environment_depth(&rig, environment), ==, 120);
	close_rig();
}

/* Built by an earlier release, or somebody removed it. */
static void
a_lost_set_of_them_is_mended_by_what_comes_next(void)
{
	open_rig();
	limits(LONG, 4, 0, 0);
	push_run(&rig, READY_NEW, LONG, 1, 3);
	raw_int(&rig, "DEL sluice:{s00}:long");
	take(A, 1, 1, NULL, 0, &taken);
	check_int(taken.turns[0].count, ==, 1);
	check_int(raw_int(&rig, "SISMEMBER sluice:{s00}:long %d", LONG), ==, 1);
	raw_int(&rig, "DEL sluice:{s00}:long sluice:{s00}:long_ready");
	push_run(&rig, READY_NEW, LONG, 4, 4);
	check_int(raw_int(&rig, "SISMEMBER sluice:{s00}:long %d", LONG), ==, 1);
	take(A, 4, 4, NULL, 0, &other);
	check_int(other.count, ==, 3);
	close_rig();
}

int
main(void)
{
	if (rig_url() == NULL) {
		printf("1..0 # SKIP SLUICE_TEST_REDIS is not set\n");
		return 77;
	}
	log_set_level((enum log_level)0); /* the faults are meant */
	CHECK_RUN(each_slot_has_one_job);
	CHECK_RUN(they_are_in_nobodys_way);
	CHECK_RUN(who_holds_the_fewest_slots_is_next);
	CHECK_RUN(a_limit_of_one_that_is_raised_counts_beside_the_job_that_runs);
	CHECK_RUN(a_lowered_limit_ends_nothing_and_starts_nothing);
	CHECK_RUN(a_paused_one_waits_and_goes_on);
	CHECK_RUN(only_who_has_a_place_for_them_is_woken);
	CHECK_RUN(slots_of_a_lost_worker_go_first_among_as_busy_ones);
	CHECK_RUN(one_in_the_line_of_the_others_is_moved_to_its_own);
	CHECK_RUN(a_sweep_lines_one_up_that_is_held_by_others);
	CHECK_RUN(what_runs_of_one_is_counted_whole);
	CHECK_RUN(a_lost_set_of_them_is_mended_by_what_comes_next);
	return check_done();
}
