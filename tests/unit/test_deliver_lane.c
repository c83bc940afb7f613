/* tests/unit/test_deliver_lane.c - daemon/deliver/lane. */
#include "daemon/deliver/lane.h"

#include "tests/lib/check.h"

static struct lanes *lanes;
static int64_t now = 1000000;
static int slow_later[101];

static void
begin(int places, int per_endpoint)
{
	lanes_free(lanes);
	lanes = lanes_new();
	lanes_limit(lanes, places, per_endpoint);
	now = 1000000;
}

/* The ledger's part: each endpoint from `first` on has much to send; what of it may a claim take? */
static int
claim(enum lanes_claim kind, int64_t first, int endpoints)
{
	static struct delivery_claimed rows[5000];
	struct delivery_ask ask;
	int count = 0;

	if (!lanes_ask(lanes, kind, &ask))
		return 0;
	for (int64_t id = first; id < first + endpoints; id++) {
		int room = ask.fresh_room;

		for (int i = 0; i < ask.lane_count; i++)
			if (ask.lanes[i].endpoint_id == id)
				room = ask.lanes[i].room;
		for (; room > 0 && count < ask.room; room--)
			rows[count++].endpoint_id = id;
	}
	(void)lanes_claimed(lanes, rows, count, now);
	return count;
}

/* Claims until there is nothing to be had. */
static int
claim_all(enum lanes_claim kind, int64_t first, int endpoints)
{
	int all = 0, count;

	while ((count = claim(kind, first, endpoints)) > 0)
		all += count;
	return all;
}

static int64_t
end(int64_t id, enum lane_end how, bool slow)
{
	int64_t open_ms = lanes_answered(lanes, id, how, now);

	(void)lanes_ended(lanes, id, slow, now);
	return open_ms;
}

static void
prove(int64_t id)
{
	check_int(claim(LANES_ALL, id, 1), ==, 1);
	check_int(end(id, LANE_DELIVERED, false), ==, 0);
}

static void
an_endpoint_gets_one_at_a_time_until_it_has_answered(void)
{
	begin(256, 16);
	check_int(claim_all(LANES_ALL, 1, 1), ==, 1);
	check_int(end(1, LANE_FAILED, false), ==, 0);
	check_int(claim_all(LANES_ALL, 1, 1), ==, 1);
	check_int(end(1, LANE_DELIVERED, false), ==, 0);
	check_int(claim_all(LANES_ALL, 1, 1), ==, 16);
	check_int(end(1, LANE_DELIVERED, false), ==, 0);
	check_int(claim_all(LANES_ALL, 1, 1), ==, 1);
	check_int(end(1, LANE_FAILED, false), ==, 0);
	check_int(lanes_under_way(lanes), ==, 15);
	check_int(claim_all(LANES_ALL, 1, 1), ==, 0);
}

static void
who_does_not_answer_gets_half_of_the_places(void)
{
	begin(100, 16);
	for (int id = 1; id <= 5; id++)
		prove(id); /* each may have a fifth, and an eighth of what is free */
	check_int(claim_all(LANES_ALL, 100, 1000), ==, 50);
	check_int(claim_all(LANES_ALL, 1, 5), ==, 0); /* no place is left of that half */
	check_int(claim_all(LANES_TRUSTED, 1, 2000), >=, 20);
	check_int(lanes_under_way(lanes), <=, 100);
}

static void
one_with_much_to_send_leaves_places_to_others(void)
{
	begin(40, 16);
	for (int id = 1; id <= 3; id++)
		prove(id);
	check_int(claim_all(LANES_ALL, 1, 1), ==, 4);
	check_int(claim_all(LANES_ALL, 2, 1), ==, 4);
	check_int(claim_all(LANES_ALL, 3, 1), >=, 1);
}

static void
a_slow_try_makes_its_lane_share_the_half_for_doubtful_ones(void)
{
	int had;

	begin(40, 16);
	prove(1);
	prove(2);
	had = claim_all(LANES_ALL, 1, 1);
	check_int(had, >, 1);
	for (int i = 0; i < had; i++)
		lanes_slow(lanes, 1);
	check_int(claim_all(LANES_TRUSTED, 1, 1), ==, 0);
	check_int(claim_all(LANES_ALL, 100, 100), ==,
		  20 - had); /* what the slow one has left of it */
	check_int(claim_all(LANES_TRUSTED, 2, 1), >, 0);
	for (int i = 0; i < had; i++)
		check_int(end(1, LANE_DELIVERED, true), ==, 0);
	check_int(claim_all(LANES_ALL, 1, 1), >, 0); /* slow, but it answers */
}

static void
half_is_left_for_the_others_when_many_that_were_trusted_stop_to_answer(void)
{
	begin(64, 16);
	for (int id = 1; id <= 100; id++)
		prove(id);
	/* The first 70 answer no more; all that may be taken for them is. */
	for (int second = 0; second < 30; second++) {
		int had = lanes_under_way(lanes);

		for (int id = 1; id <= 70; id++) {
			int before = lanes_under_way(lanes);

			(void)claim_all(LANES_ALL, id, 1);
			(void)claim_all(LANES_TRUSTED, id, 1);
			for (int i = before; i < lanes_under_way(lanes); i++)
				slow_later[id]++;
		}
		for (int id = 1; id <= 70; id++)
			for (; slow_later[id] > 0; slow_later[id]--)
				lanes_slow(lanes, id);
		if (lanes_under_way(lanes) == had)
			break;
	}
	check_int(lanes_under_way(lanes), >, 64 / 2);
	check_int(lanes_under_way(lanes), <=, 2 * 64);
	for (int id = 71; id <= 100; id++) {
		int count = claim_all(LANES_ALL, id, 1) + claim_all(LANES_TRUSTED, id, 1);

		check_int(count, >, 0);
		for (; count > 0; count--)
			check_int(end(id, LANE_DELIVERED, false), ==, 0);
	}
}

static void
one_that_is_slow_and_answers_keeps_several_under_way(void)
{
	begin(256, 16);
	prove(1);
	check_int(claim_all(LANES_ALL, 1, 1), ==, 16);
	for (int i = 0; i < 16; i++)
		lanes_slow(lanes, 1);
	for (int i = 0; i < 4; i++)
		check_int(end(1, LANE_DELIVERED, true), ==, 0);
	check_int(claim_all(LANES_ALL, 1, 1), ==, 2);
}

static void
trusted_ones_are_asked_for_apart_only_when_the_other_half_is_short(void)
{
	struct delivery_ask ask;

	begin(64, 4);
	prove(1);
	check(!lanes_ask(lanes, LANES_TRUSTED, &ask));
	check_int(claim_all(LANES_ALL, 100, 100), ==, 32);
	check(lanes_ask(lanes, LANES_TRUSTED, &ask));
	check_int(ask.fresh_room, ==, 0);
	check_int(ask.lane_count, ==, 1);
	check_int(ask.lanes[0].endpoint_id, ==, 1);
	check_int(ask.lanes[0].room, ==, 4);
	(void)lanes_claimed(lanes, NULL, 0, now);
}

static void
all_idle_trusted_ones_have_their_turn(void)
{
	static bool seen[LANES_LISTED * 2 + 1];
	struct delivery_ask ask;
	int all = 0;

	begin(64, 4);
	for (int id = 1; id <= LANES_LISTED * 2; id++)
		prove(id);
	check_int(claim_all(LANES_ALL, 10000, 100), ==, 32);
	for (int round = 0; round < 3; round++) {
		check(lanes_ask(lanes, LANES_TRUSTED, &ask));
		check_int(ask.lane_count, <=, LANES_LISTED + 1);
		for (int i = 0; i < ask.lane_count; i++)
			seen[ask.lanes[i].endpoint_id] = true;
		(void)lanes_claimed(lanes, NULL, 0, now);
	}
	for (int id = 1; id <= LANES_LISTED * 2; id++)
		all += seen[id];
	check_int(all, ==, LANES_LISTED * 2);
}

static void
five_failures_within_ten_seconds_open_the_breaker(void)
{
	begin(256, 16);
	for (int i = 1; i <= 5; i++) {
		check_int(claim(LANES_ALL, 1, 1), ==, 1);
		check_int(end(1, LANE_FAILED, false), ==, i == 5 ? LANE_OPEN_MS : 0);
		now += 2500;
	}
	begin(256, 16);
	for (int i = 1; i <= 20; i++) {
		check_int(claim(LANES_ALL, 1, 1), ==, 1);
		check_int(end(1, LANE_FAILED, false), ==, 0);
		now += 2501;
	}
}

static void
a_success_between_them_starts_the_count_anew(void)
{
	begin(256, 16);
	for (int i = 1; i <= 12; i++) {
		check_int(claim(LANES_ALL, 1, 1), >, 0);
		check_int(end(1, i % 5 == 0 ? LANE_DELIVERED : LANE_FAILED, false), ==, 0);
		while (lanes_under_way(lanes) > 0)
			(void)lanes_ended(lanes, 1, false, now);
	}
}

static void
failures_of_tries_that_were_under_way_do_not_open_it_again(void)
{
	int64_t opened = 0;

	begin(256, 16);
	prove(1);
	check_int(claim_all(LANES_ALL, 1, 1), ==, 16);
	for (int i = 0; i < 16; i++)
		opened += end(1, LANE_FAILED, false);
	check_int(opened, ==, LANE_OPEN_MS);
}

static void
a_probe_that_fails_opens_it_anew_until_one_succeeds(void)
{
	begin(256, 16);
	for (int i = 1; i <= 5; i++) {
		check_int(claim(LANES_ALL, 1, 1), ==, 1);
		(void)end(1, LANE_FAILED, false);
	}
	for (int i = 0; i < 3; i++) {
		now += LANE_OPEN_MS;
		check_int(claim(LANES_ALL, 1, 1), ==, 1);
		check_int(end(1, LANE_FAILED, false), ==, LANE_OPEN_MS);
	}
	now += LANE_OPEN_MS;
	prove(1);
	check_int(claim(LANES_ALL, 1, 1), >, 0);
	check_int(end(1, LANE_FAILED, false), ==, 0);
}

static void
a_second_timeout_in_a_row_opens_it(void)
{
	static const enum lane_end ends[] = {LANE_TIMED_OUT, LANE_FAILED,    LANE_TIMED_OUT,
					     LANE_DELIVERED, LANE_TIMED_OUT, LANE_TIMED_OUT};

	begin(256, 16);
	for (int i = 0; i < 6; i++) {
		check_int(claim(LANES_ALL, 1, 1), >, 0);
		check_int(end(1, ends[i], false), ==, i == 5 ? LANE_OPEN_MS : 0);
		while (lanes_under_way(lanes) > 0)
			(void)lanes_ended(lanes, 1, false, now);
		now += 20000;
	}
}

static void
a_try_that_was_left_tells_nothing(void)
{
	begin(256, 16);
	prove(1);
	for (int i = 0; i < 10; i++) {
		check_int(claim(LANES_ALL, 1, 1), >, 0);
		while (lanes_under_way(lanes) > 0)
			check_int(end(1, LANE_LEFT, false), ==, 0);
	}
	check_int(claim_all(LANES_ALL, 1, 1), ==, 16);
}

static void
who_took_all_it_might_has_more(void)
{
	struct delivery_claimed row = {.endpoint_id = 1};
	struct delivery_ask ask;

	begin(256, 16);
	prove(1);
	check(lanes_ask(lanes, LANES_ALL, &ask));
	(void)lanes_claimed(lanes, &row, 1, now);
	(void)lanes_answered(lanes, 1, LANE_DELIVERED, now);
	check(!lanes_ended(lanes, 1, false, now)); /* it might have had 16 */
	check_int(claim_all(LANES_ALL, 1, 1), ==, 16);
	check(lanes_ended(lanes, 1, false, now));
}

static void
what_is_idle_is_forgotten_and_what_works_is_not(void)
{
	begin(4096, 16);
	for (int id = 1; id <= LANES_KEPT + 500; id++)
		prove(id);
	check_int(lanes_count(lanes), ==, LANES_KEPT);
	check_int(claim(LANES_ALL, 42, 1), ==, 1);
	now += 3600 * 1000 + 1;
	lanes_forget_idle(lanes, now);
	check_int(lanes_count(lanes), ==, 1);
	check_int(end(42, LANE_DELIVERED, false), ==, 0);
	now += 3600 * 1000 + 1;
	lanes_forget_idle(lanes, now);
	check_int(lanes_count(lanes), ==, 0);
}

static void
fewer_places_than_are_taken_give_none(void)
{
	begin(256, 16);
	prove(1);
	check_int(claim_all(LANES_ALL, 1, 1), ==, 16);
	lanes_limit(lanes, 2, 1);
	check_int(claim_all(LANES_ALL, 1, 100), ==, 0);
	check_int(claim_all(LANES_TRUSTED, 1, 100), ==, 0);
	for (int i = 0; i < 16; i++)
		(void)end(1, LANE_DELIVERED, false);
	check_int(claim_all(LANES_ALL, 1, 1), ==, 1);
}

int
main(void)
{
	CHECK_RUN(an_endpoint_gets_one_at_a_time_until_it_has_answered);
	CHECK_RUN(who_does_not_answer_gets_half_of_the_places);
	CHECK_RUN(one_with_much_to_send_leaves_places_to_others);
	CHECK_RUN(a_slow_try_makes_its_lane_share_the_half_for_doubtful_ones);
	CHECK_RUN(half_is_left_for_the_others_when_many_that_were_trusted_stop_to_answer);
	CHECK_RUN(one_that_is_slow_and_answers_keeps_several_under_way);
	CHECK_RUN(trusted_ones_are_asked_for_apart_only_when_the_other_half_is_short);
	CHECK_RUN(all_idle_trusted_ones_have_their_turn);
	CHECK_RUN(five_failures_within_ten_seconds_open_the_breaker);
	CHECK_RUN(a_success_between_them_starts_the_count_anew);
	CHECK_RUN(failures_of_tries_that_were_under_way_do_not_open_it_again);
	CHECK_RUN(a_probe_that_fails_opens_it_anew_until_one_succeeds);
	CHECK_RUN(a_second_timeout_in_a_row_opens_it);
	CHECK_RUN(a_try_that_was_left_tells_nothing);
	CHECK_RUN(who_took_all_it_might_has_more);
	CHECK_RUN(what_is_idle_is_forgotten_and_what_works_is_not);
	CHECK_RUN(fewer_places_than_are_taken_give_none);
	lanes_free(lanes);
	return check_done();
}
