/* queue/ against a real Redis: depths of environments, and what is mended.
 * SLUICE_TEST_REDIS names the server (a URL or a socket's path); it is emptied.  77: not set. */
#include "tests/integration/queue_rig.h"

#define A "1.aaaa"
#define B "2.bbbb"

static struct rig rig;
static struct taken taken, other;

static void
open_rig(void)
{
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
limit(int64_t key, int slots)
{
	const struct ready_limit one = {key, slots};

	check_int(set_limits(&rig, &one, 1).code, ==, SL_OK);
}

static const struct taken_turn *
turn(int i)
{
	check_int(taken.code, ==, SL_OK);
	check(i < taken.count);
	return &taken.turns[i];
}

/* ---- depths ---- */

struct depths {
	int calls;
	int64_t of[8]; /* by environment - 100 */
};

static void
on_depth(void *arg, int64_t environment_id, int64_t depth)
{
	struct depths *depths = arg;

	depths->calls++;
	check(environment_id >= 100 && environment_id < 108);
	depths->of[environment_id - 100] = depth;
}

static void
a_push_tells_the_depth_of_each_environment(void)
{
	struct depths depths = {0};
	struct lease_hand last;

	open_rig();
	queue_on_depth(rig.queue, on_depth, &depths);
	push_run(&rig, READY_NEW, 1, 1, 3); /* environment 101 */
	push_run(&rig, READY_FRONT, 4, 4, 5);
	push_run(&rig, READY_NEW, 2, 6, 6);
	check_int(depths.calls, ==, 3);
	check_int(depths.of[1], ==, 5);
	check_int(depths.of[2], ==, 1);
	exchange(&rig, A, 1, 8, NULL, 0, &taken);
	last = hand_of(turn(0), 1, 2);
	exchange(&rig, A, 0, 8, &last, 1, &taken);
	check_int(environment_depth(&rig, 101), ==, 3);
	push_run(&rig, READY_NEW, 1, 7, 7);
	check_int(depths.of[1], ==, 4);
	check_int(environment_depth(&rig, 999), ==, 0);
	check_int(raw_int(&rig, "HLEN sluice:{s00}:depths"), ==, 2);
	close_rig();
}

static void
a_depth_is_dropped_at_nothing_and_never_below(void)
{
	struct lease_hand last;

	open_rig();
	push_run(&rig, READY_NEW, 1, 1, 2);
	exchange(&rig, A, 1, 8, NULL, 0, &taken);
	last = hand_of(turn(0), 1, 2);
	raw_int(&rig, "HSET sluice:{s00}:depths 101 1");
	exchange(&rig, A, 0, 8, &last, 1, &taken);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:depths"), ==, 0);
	close_rig();
}

static void
a_depth_that_went_wrong_is_counted_anew(void)
{
	struct depths depths = {0};

	open_rig();
	limit(4, 2);
	push_run(&rig, READY_NEW, 1, 1, 5);
	push_run(&rig, READY_NEW, 4, 6, 12);
	exchange(&rig, A, 3, 2, NULL, 0, &taken);
	raw_int(&rig, "DEL sluice:{s00}:q:1");
	check_int(environment_depth(&rig, 101), ==, 7);
	raw_int(&rig, "DEL sluice:{s00}:depths");
	check_int(environment_depth(&rig, 101), ==, 7);
	queue_on_depth(rig.queue, on_depth, &depths);
	raw_int(&rig, "DEL sluice:{s00}:q:4");
	raw_int(&rig, "SET sluice:{s00}:q:4 x"); /* put aside by the push, which counts anew */
	push_run(&rig, READY_NEW, 4, 13, 13);
	for (int i = 0; i < 100 && depths.calls < 2; i++)
		loop_turn(rig.loop, 20);
	check_int(depths.calls, ==, 2);
	check_int(depths.of[1], ==, environment_depth(&rig, 101));
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:bad:q:4"), ==, 1);
	close_rig();
}

/* ---- what somebody did to our keys ---- */

struct missed {
	struct said *said;
	bool *missing;
};

static void
on_missed(void *arg, enum sl_code code, const enum ready_place *places, int count)
{
	struct missed *missed = arg;

	missed->said->done = true;
	missed->said->code = code;
	if (count == 1)
		*missed->missing = places[0] == READY_MISSING;
}

static struct said
ask_missing(int64_t key, int64_t seq, bool *missing)
{
	struct said said = {0};
	struct missed missed = {&said, missing};

	ready_missing(rig.queue, key, &seq, 1, on_missed, &missed);
	rig_until(&rig, &said.done);
	return said;
}

static void
a_key_that_would_expire_stays(void)
{
	static const char *const nouns[] = {"epoch", "held",   "workers", "turn",
					    "slots", "limits", "depths"};
	bool missing = true;

	open_rig();
	limit(1, 2);
	push_run(&rig, READY_NEW, 1, 1, 4);
	exchange(&rig, A, 1, 8, NULL, 0, &taken);
	for (size_t i = 0; i < sizeof(nouns) / sizeof(nouns[0]); i++)
		check_int(raw_int(&rig, "PEXPIRE sluice:{s00}:%s 60000", nouns[i]), ==, 1);
	raw_int(&rig, "PEXPIRE sluice:{s00}:q:1 60000");
	raw_int(&rig, "PEXPIRE sluice:{s00}:s:1 60000");
	limit(1, 2);
	check_int(ask_missing(1, 2, &missing).code, ==, SL_OK);
	check(!missing);
	check_int(raw_int(&rig, "EVAL %s 0",
			  "local n = 0 for _, k in ipairs(redis.call('KEYS', '*')) do "
			  "if redis.call('PTTL', k) ~= -1 then n = n + 1 end end return n"),
		  ==, 0);
	close_rig();
}

static void
a_key_that_was_taken_out_of_line_is_lined_up_again(void)
{
	bool missing = true;

	open_rig();
	push_run(&rig, READY_NEW, 1, 1, 4);
	raw_int(&rig, "DEL sluice:{s00}:ready sluice:{s00}:wake");
	exchange(&rig, A, 1, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 0);
	check_int(ask_missing(1, 1, &missing).code, ==, SL_OK);
	check(!missing);
	check_int(wait_token(&rig, 1000).value, ==, 1);
	exchange(&rig, A, 1, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	ask_missing(1, 1, &missing); /* held: stays out of line */
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:ready"), ==, 0);
	close_rig();
}

static void
a_shard_key_of_another_type_has_the_shard_built_anew(void)
{
	static const char *const nouns[] = {"epoch", "ready",      "turn",   "held",
					    "wake",  "slots",      "limits", "depths",
					    "calls", "call_bytes", "fronts", "workers"};

	open_rig();
	for (size_t i = 0; i < sizeof(nouns) / sizeof(nouns[0]); i++) {
		raw_int(&rig, "DEL sluice:{s00}:%s", nouns[i]);
		raw_int(&rig, "PFADD sluice:{s00}:%s x", nouns[i]);
		if (strcmp(nouns[i], "turn") == 0 || strcmp(nouns[i], "epoch") == 0 ||
		    strcmp(nouns[i], "call_bytes") == 0) {
			raw_int(&rig, "DEL sluice:{s00}:%s", nouns[i]);
			raw_int(&rig, "SADD sluice:{s00}:%s x", nouns[i]);
		}
		check_int(set_limits(&rig, NULL, 0).code, ==, SL_CONFLICT);
		check_int(raw_int(&rig, "EXISTS sluice:{s00}:epoch"), ==, 0);
		check_int(rig_rebuild(&rig), ==, SL_OK);
		check_int(set_limits(&rig, NULL, 0).code, ==, SL_OK);
	}
	close_rig();
}

static void
a_slots_list_of_another_type_is_put_aside(void)
{
	open_rig();
	limit(1, 2);
	raw_int(&rig, "SET sluice:{s00}:s:1 x");
	raw_int(&rig, "HSET sluice:{s00}:s:1.1 x y");
	push_run(&rig, READY_NEW, 1, 1, 4);
	exchange(&rig, A, 2, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 2);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:bad:s:1 sluice:{s00}:bad:s:1.1"), ==, 2);
	close_rig();
}

static void
slots_and_limits_that_make_no_sense_are_survived(void)
{
	static const char *const slots[] = {"",
					    ":",
					    "x",
					    "1",
					    ":0",
					    "0:",
					    ":9",
					    "9:",
					    ":0,0,0",
					    "0,1,2,3,4:",
					    ",,:,",
					    ":1,2:3",
					    ":99999999999999999999"};
	static const char *const limits[] = {"", "x", "0", "-1", "1", "1e9", "nan", "2.5"};

	open_rig();
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		raw_int(&rig, "HSET sluice:{s00}:limits 1 2");
		raw_int(&rig, "HSET sluice:{s00}:slots 1 %s", slots[i]);
		push_run(&rig, READY_NEW, 1, 1, 4);
		exchange(&rig, A, 4, 2, NULL, 0, &taken);
		check_int(taken.code, ==, SL_OK);
		check_int(expire(&rig, A).code, ==, SL_OK);
		check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	}
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		raw_int(&rig, "DEL sluice:{s00}:slots");
		raw_int(&rig, "HSET sluice:{s00}:limits 2 %s", limits[i]);
		push_run(&rig, READY_NEW, 2, 1, 4);
		exchange(&rig, A, 4, 2, NULL, 0, &taken);
		check(taken.code == SL_OK || taken.code == SL_INTERNAL);
		check_int(expire(&rig, A).code, ==, SL_OK);
		check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	}
	check(queue_is_up(rig.queue));
	close_rig();
}

static void
slots_that_lost_their_count_are_not_given_twice(void)
{
	struct lease_hand last;

	open_rig();
	limit(1, 2);
	push_run(&rig, READY_NEW, 1, 1, 8);
	exchange(&rig, A, 1, 2, NULL, 0, &taken);
	last = hand_of(turn(0), 1, 2);
	raw_int(&rig, "DEL sluice:{s00}:slots");
	exchange(&rig, B, 4, 2, NULL, 0, &other);
	check_int(other.count, ==, 1);
	check_int(other.turns[0].slot, ==, 1);
	raw_int(&rig, "DEL sluice:{s00}:slots sluice:{s00}:limits");
	exchange(&rig, A, 1, 2, &last, 1, &taken); /* handed in all the same */
	check_int(taken.code, ==, SL_OK);
	check_int(environment_depth(&rig, 101) <= 6, ==, 1);
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
	CHECK_RUN(a_push_tells_the_depth_of_each_environment);
	CHECK_RUN(a_depth_is_dropped_at_nothing_and_never_below);
	CHECK_RUN(a_depth_that_went_wrong_is_counted_anew);
	CHECK_RUN(a_key_that_would_expire_stays);
	CHECK_RUN(a_key_that_was_taken_out_of_line_is_lined_up_again);
	CHECK_RUN(a_shard_key_of_another_type_has_the_shard_built_anew);
	CHECK_RUN(a_slots_list_of_another_type_is_put_aside);
	CHECK_RUN(slots_and_limits_that_make_no_sense_are_survived);
	CHECK_RUN(slots_that_lost_their_count_are_not_given_twice);
	return check_done();
}
