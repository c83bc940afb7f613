/* queue/ against a real Redis: keys with more than one slot, limits that change.
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

/* ---- slots ---- */

static void
a_key_with_slots_gives_each_a_share_of_what_waits(void)
{
	open_rig();
	limit(1, 3);
	push_run(&rig, READY_NEW, 1, 1, 10);
	exchange(&rig, A, 5, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 3);
	for (int i = 0; i < 3; i++) {
		check_int(turn(i)->slot, ==, i);
		check_int(turn(i)->lane, ==, 's');
	}
	check_int(turn(0)->count, ==, 3); /* 10 / 3, then 7 / 3, then 5 / 3 */
	check_int(turn(0)->seqs[2], ==, 3);
	check_int(turn(1)->count, ==, 2);
	check_int(turn(2)->count, ==, 1);
	check_int(turn(2)->seqs[0], ==, 6);
	exchange(&rig, B, 5, 8, NULL, 0, &other); /* no slot is free */
	check_int(other.count, ==, 0);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:q:1"), ==, 4);
	close_rig();
}

static void
slots_are_tenures_of_their_own(void)
{
	struct lease_hand hands[2];

	open_rig();
	limit(1, 2);
	push_run(&rig, READY_NEW, 1, 1, 4);
	exchange(&rig, A, 2, 1, NULL, 0, &taken);
	check_int(taken.count, ==, 2);
	hands[0] = hand_of(turn(0), 11, 1);
	hands[1] = hand_of(turn(1), 22, 1);
	exchange(&rig, A, 0, 1, hands, 2, &taken);
	exchange(&rig, B, 2, 1, NULL, 0, &taken);
	check_int(taken.count, ==, 2);
	for (int i = 0; i < 2; i++) {
		check_text(turn(i)->holder, A);
		check_int(turn(i)->tenure, ==, turn(i)->slot == 0 ? 11 : 22);
	}
	close_rig();
}

static void
what_a_slot_did_not_run_goes_first(void)
{
	struct lease_hand last;

	open_rig();
	limit(1, 2);
	push_run(&rig, READY_NEW, 1, 1, 8);
	exchange(&rig, A, 1, 8, NULL, 0, &taken);
	check_int(turn(0)->count, ==, 4);
	last = hand_of(turn(0), 7, 1);
	exchange(&rig, A, 0, 8, &last, 1, &taken);
	exchange(&rig, B, 1, 8, NULL, 0, &taken);
	check_int(turn(0)->slot, ==, 0);
	check_int(turn(0)->tenure, ==, 7);
	check_int(turn(0)->count, ==, 3);
	check_int(turn(0)->seqs[0], ==, 2);
	close_rig();
}

static void
late_jobs_are_drawn_in_ledger_order(void)
{
	static const int64_t news[] = {10, 20, 40}, late[] = {5, 15, 30};
	static const int64_t wanted[] = {5, 10, 15, 20, 30, 40};
	struct lease_hand last = {0};

	open_rig();
	limit(1, 2);
	push_seqs(&rig, READY_NEW, 1, news, 3);
	push_seqs(&rig, READY_FRONT, 1, late, 3);
	for (int at = 0, hands = 0; at < 6; hands = 1) {
		exchange(&rig, A, 1, 64, &last, hands, &taken);
		for (int i = 0; i < turn(0)->count; i++)
			check_int(turn(0)->seqs[i], ==, wanted[at++]);
		last = hand_of(turn(0), 1, turn(0)->count);
	}
	exchange(&rig, A, 1, 64, &last, 1, &taken);
	check_int(taken.count, ==, 0);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:fronts sluice:{s00}:slots"), ==, 0);
	close_rig();
}

static void
a_second_slot_is_given_only_when_no_key_waits(void)
{
	open_rig();
	limit(1, 8);
	push_run(&rig, READY_NEW, 1, 1, 100);
	push_run(&rig, READY_NEW, 2, 101, 110);
	push_run(&rig, READY_NEW, 3, 111, 120);
	exchange(&rig, A, 2, 1, NULL, 0, &taken);
	check_int(turn(0)->key, ==, 1);
	check_int(turn(1)->key, ==, 2);
	exchange(&rig, B, 2, 1, NULL, 0, &taken);
	check_int(turn(0)->key, ==, 3); /* before the second slot of key 1 */
	check_int(turn(1)->key, ==, 1);
	check_int(turn(1)->slot, ==, 1);
	close_rig();
}

/* I8 at the level of the scripts. */
static void
a_hundred_thousand_jobs_in_eight_slots_delay_another_key_by_a_turn_a_worker(void)
{
	enum { WORKERS = 8, ROUNDS = 12 };
	struct lease_hand last[WORKERS] = {{0}};
	char names[WORKERS][16];

	open_rig();
	limit(1, 8);
	for (int i = 0; i < 100; i++)
		check_int(push_run(&rig, READY_NEW, 1, i * 1000 + 1, i * 1000 + 1000).code, ==,
			  SL_OK);
	for (int w = 0; w < WORKERS; w++) {
		snprintf(names[w], sizeof(names[w]), "%d.w", w + 10);
		check_int(join(&rig, names[w], RIG_TTL_MS).code, ==, SL_OK);
		exchange(&rig, names[w], 1, 8, NULL, 0, &taken);
		check_int(turn(0)->key, ==, 1);
		last[w] = hand_of(turn(0), 1, 1); /* the rest of the turn stays with its slot */
	}
	for (int round = 0; round < ROUNDS; round++) {
		int before = 0;
		int64_t key = 2 + round % 2;

		push_run(&rig, READY_NEW, key, 200000 + round, 200000 + round);
		for (int i = 0; i < WORKERS * 2; i++) {
			int w = (round + i) % WORKERS;

			exchange(&rig, names[w], 1, 8, &last[w], 1, &taken);
			last[w] = hand_of(turn(0), 1, 1);
			if (turn(0)->key == key)
				break;
			before++;
		}
		check_int(turn(0)->key, ==, key);
		check_int(before, <=, WORKERS);
	}
	close_rig();
}

static void
slots_of_a_lost_worker_come_back(void)
{
	open_rig();
	limit(1, 3);
	push_run(&rig, READY_NEW, 1, 1, 9);
	exchange(&rig, A, 2, 2, NULL, 0, &taken);
	check_int(taken.count, ==, 2);
	exchange(&rig, B, 1, 2, NULL, 0, &other);
	check_int(other.turns[0].slot, ==, 2);
	check_int(expire(&rig, A).value, ==, 1);
	exchange(&rig, B, 2, 2, NULL, 0, &taken);
	check_int(taken.count, ==, 2);
	for (int i = 0; i < 2; i++) {
		check_int(turn(i)->slot, ==, i);
		check_text(turn(i)->holder, A);
		check_int(turn(i)->session, ==, -1);
		check_int(turn(i)->seqs[0], ==, i == 0 ? 1 : 3);
	}
	close_rig();
}

static void
jobs_that_only_lost_slots_have_come_back(void)
{
	open_rig();
	limit(1, 2);
	push_run(&rig, READY_NEW, 1, 1, 2);
	exchange(&rig, A, 2, 2, NULL, 0, &taken);
	check_int(taken.count, ==, 2);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:q:1"), ==, 0);
	check_int(expire(&rig, A).value, ==, 1);
	limit(1, 1);
	exchange(&rig, B, 2, 2, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check_int(turn(0)->count, ==, 2);
	check_int(turn(0)->lane, ==, 'f');
	close_rig();
}

static void
a_refused_slot_does_not_stop_the_others(void)
{
	struct lease_hand last;

	open_rig();
	limit(1, 2);
	push_run(&rig, READY_NEW, 1, 1, 6);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	last = hand_of(turn(0), -1, 0);
	last.clean = false;
	exchange(&rig, A, 1, 1, &last, 1, &taken);
	check_int(taken.count, ==, 1);
	check_int(turn(0)->slot, ==, 1); /* not the same again in the same call */
	check_int(turn(0)->seqs[0], ==, 2);
	exchange(&rig, B, 2, 1, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check_int(turn(0)->slot, ==, 0);
	check_int(turn(0)->seqs[0], ==, 1);
	close_rig();
}

/* ---- limits that change ---- */

static void
a_lower_limit_holds_at_once_and_gives_jobs_back_in_order(void)
{
	static const int64_t given_back[] = {1, 2, 4, 5};
	struct lease_hand hands[3];

	open_rig();
	limit(1, 3);
	push_run(&rig, READY_NEW, 1, 1, 9);
	exchange(&rig, A, 3, 2, NULL, 0, &taken);
	check_int(taken.count, ==, 3); /* 1 2, 3 4, 5 */
	for (int i = 0; i < 3; i++)
		hands[i] = hand_of(turn(i), i + 1, 0);
	hands[1].count = 1; /* 3 has run */
	limit(1, 1);
	exchange(&rig, A, 1, 2, &hands[2], 1, &taken);
	check_int(taken.count, ==, 0); /* two slots are still held */
	exchange(&rig, B, 1, 2, NULL, 0, &other);
	check_int(other.count, ==, 0);
	exchange(&rig, A, 1, 2, &hands[1], 1, &taken);
	check_int(taken.count, ==, 0);
	exchange(&rig, A, 1, 8, &hands[0], 1, &taken);
	check_int(turn(0)->lane, ==, 'f');
	check_int(turn(0)->count, ==, 4);
	for (int i = 0; i < 4; i++)
		check_int(turn(0)->seqs[i], ==, given_back[i]);
	hands[0] = hand_of(turn(0), 9, 4);
	exchange(&rig, A, 1, 8, hands, 1, &taken);
	check_int(turn(0)->lane, ==, 'q');
	check_int(turn(0)->seqs[0], ==, 6);
	check_int(environment_depth(&rig, rig_environment(1)), ==, 4);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:limits sluice:{s00}:slots"), ==, 0);
	close_rig();
}

static void
a_key_in_one_piece_stays_so_until_it_is_handed_in(void)
{
	struct lease_hand last;

	open_rig();
	push_run(&rig, READY_NEW, 1, 1, 9);
	exchange(&rig, A, 1, 2, NULL, 0, &taken);
	check_int(turn(0)->lane, ==, 'q');
	last = hand_of(turn(0), 5, 2);
	limit(1, 3);
	push_run(&rig, READY_NEW, 1, 10, 12);
	raw_int(&rig, "ZADD sluice:{s00}:ready 0 1"); /* not even if somebody lines it up */
	exchange(&rig, B, 3, 2, NULL, 0, &other);
	check_int(other.count, ==, 0);
	exchange(&rig, A, 3, 2, &last, 1, &taken);
	check_int(taken.count, ==, 3);
	for (int i = 0; i < 3; i++)
		check_int(turn(i)->lane, ==, 's');
	check(!turn(0)->kept);
	check_int(turn(0)->tenure, ==, 5); /* slot 0 is claimed anew, on the token it gave */
	close_rig();
}

static void
a_key_that_gets_slots_is_lined_up(void)
{
	open_rig();
	limit(1, 2);
	push_run(&rig, READY_NEW, 1, 1, 9);
	exchange(&rig, A, 2, 1, NULL, 0, &taken);
	check_int(taken.count, ==, 2);
	exchange(&rig, B, 1, 1, NULL, 0, &other);
	check_int(other.count, ==, 0);
	check_int(raw_int(&rig, "DEL sluice:{s00}:wake"), >=, 0);
	limit(1, 3);
	check_int(wait_token(&rig, 1000).value, ==, 1);
	exchange(&rig, B, 1, 1, NULL, 0, &other);
	check_int(other.count, ==, 1);
	check_int(other.turns[0].slot, ==, 2);
	close_rig();
}

static void
limits_are_sent_only_when_they_have_changed(void)
{
	struct ready_limit limits[] = {{1, 4}, {7, 1}, {3, 500}};
	struct said said;

	open_rig();
	said = set_limits(&rig, limits, 3);
	check_int(said.value, ==, 1);
	check_int(raw_int(&rig, "HLEN sluice:{s00}:limits"), ==, 3); /* two and the digest */
	limits[0] = (struct ready_limit){3, 500};
	limits[2] = (struct ready_limit){1, 4};
	said = set_limits(&rig, limits, 3); /* in another order */
	check_int(said.value, ==, 0);
	raw_int(&rig, "DEL sluice:{s00}:limits");
	said = set_limits(&rig, limits, 3);
	check_int(said.value, ==, 1);
	said = set_limits(&rig, NULL, 0);
	check_int(said.value, ==, 1);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:limits"), ==, 0);
	said = set_limits(&rig, NULL, 0);
	check_int(said.value, ==, 0);
	raw_int(&rig, "FLUSHALL");
	check_text(set_limits(&rig, limits, 3).text, "epoch");
	close_rig();
}

static void
ten_thousand_limits_are_taken_in_one_go(void)
{
	enum { COUNT = 10000 };
	struct ready_limit *limits = sl_calloc(COUNT, sizeof(*limits));

	open_rig();
	for (int i = 0; i < COUNT; i++)
		limits[i] = (struct ready_limit){i + 1, 2 + i % 499};
	check_int(set_limits(&rig, limits, COUNT).value, ==, 1);
	check_int(raw_int(&rig, "HLEN sluice:{s00}:limits"), ==, COUNT + 1);
	free(limits);
	close_rig();
}

static void
positions_and_missing_see_what_slots_have(void)
{
	struct said said = {0};

	open_rig();
	limit(1, 3);
	push_run(&rig, READY_NEW, 1, 1, 12);
	exchange(&rig, A, 2, 4, NULL, 0, &taken);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:q:1"), <, 12);
	check_int(environment_depth(&rig, 101), ==, 12);
	ready_position(rig.queue, 1, 2, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.value, ==, 1);
	said = (struct said){0};
	ready_position(rig.queue, 1, 12, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.value, ==, 11);
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
	CHECK_RUN(a_key_with_slots_gives_each_a_share_of_what_waits);
	CHECK_RUN(slots_are_tenures_of_their_own);
	CHECK_RUN(what_a_slot_did_not_run_goes_first);
	CHECK_RUN(late_jobs_are_drawn_in_ledger_order);
	CHECK_RUN(a_second_slot_is_given_only_when_no_key_waits);
	CHECK_RUN(a_hundred_thousand_jobs_in_eight_slots_delay_another_key_by_a_turn_a_worker);
	CHECK_RUN(slots_of_a_lost_worker_come_back);
	CHECK_RUN(jobs_that_only_lost_slots_have_come_back);
	CHECK_RUN(a_refused_slot_does_not_stop_the_others);
	CHECK_RUN(a_lower_limit_holds_at_once_and_gives_jobs_back_in_order);
	CHECK_RUN(a_key_in_one_piece_stays_so_until_it_is_handed_in);
	CHECK_RUN(a_key_that_gets_slots_is_lined_up);
	CHECK_RUN(limits_are_sent_only_when_they_have_changed);
	CHECK_RUN(ten_thousand_limits_are_taken_in_one_go);
	CHECK_RUN(positions_and_missing_see_what_slots_have);
	return check_done();
}
