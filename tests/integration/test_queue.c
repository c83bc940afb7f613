/* queue/ against a real Redis: what workers and pushers rely on while nothing goes wrong.
 * SLUICE_TEST_REDIS names the server (a URL or a socket's path); it is emptied.  77: not set. */
#include "tests/integration/queue_rig.h"

#define A "1.aaaa"
#define B "2.bbbb"
#define C "3.cccc"

static struct rig rig;
static struct taken taken;

static void
open_rig(void)
{
	rig_open(&rig, rig_url());
}

static void
close_rig(void)
{
	taken_fini(&taken);
	rig_close(&rig);
}

static const struct taken_turn *
turn(int i)
{
	check_int(taken.code, ==, SL_OK);
	check(i < taken.count);
	return &taken.turns[i];
}

static struct lease_hand
hand(int64_t key, int64_t tenure, int count)
{
	return (struct lease_hand){.key_id = key,
				   .lane = 'q',
				   .tenure = tenure,
				   .count = count,
				   .clean = true,
				   .environment_id = rig_environment(key)};
}

/* ---- order ---- */

static void
jobs_come_in_the_order_of_the_pushes(void)
{
	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	check_int(push_run(&rig, READY_NEW, 7, 1, 3).value, ==, 3);
	check_int(push_run(&rig, READY_NEW, 7, 4, 4).value, ==, 1);
	exchange(&rig, A, 1, 64, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check_int(turn(0)->key, ==, 7);
	check_text(turn(0)->holder, "");
	check_int(turn(0)->session, ==, -1);
	check_int(turn(0)->tenure, ==, -1);
	check(!turn(0)->kept && turn(0)->lane == 'q' && turn(0)->slot == 0);
	check_int(turn(0)->count, ==, 4);
	for (int i = 0; i < 4; i++)
		check_int(turn(0)->seqs[i], ==, i + 1);
	close_rig();
}

static void
envelopes_are_bytes(void)
{
	char bytes[4096];
	struct ready_entry entry = {.key_id = 1, .envelope = {bytes, sizeof(bytes)}};
	struct said said = {0};

	open_rig();
	memcpy(bytes, "000000000001", 12);
	for (size_t i = 12; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7); /* every value, NUL and CR LF among them */
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	ready_push(rig.queue, READY_NEW, &entry, 1, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_int(turn(0)->lens[0], ==, sizeof(bytes));
	check(memcmp(turn(0)->envelopes[0], bytes, sizeof(bytes)) == 0);
	close_rig();
}

static void
keys_are_served_in_turn(void)
{
	struct lease_hand last = {0};
	int hands = 0;

	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	for (int key = 1; key <= 4; key++)
		check_int(push_run(&rig, READY_NEW, key, key * 10, key * 10 + 2).code, ==, SL_OK);
	for (int round = 0; round < 12; round++) {
		exchange(&rig, A, 1, 1, &last, hands, &taken);
		check_int(taken.count, ==, 1);
		check_int(turn(0)->key, ==, round % 4 + 1);
		check_int(turn(0)->seqs[0], ==, turn(0)->key * 10 + round / 4);
		last = hand(turn(0)->key, 1, 1);
		hands = 1;
	}
	exchange(&rig, A, 1, 1, &last, 1, &taken);
	check_int(taken.count, ==, 0);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:ready"), ==, 0);
	close_rig();
}

static void
a_waiting_key_is_in_line_once(void)
{
	open_rig();
	push_run(&rig, READY_NEW, 1, 1, 1);
	push_run(&rig, READY_NEW, 2, 2, 2);
	push_run(&rig, READY_NEW, 1, 3, 3);
	check_int(raw_int(&rig, "ZCARD sluice:{s00}:ready"), ==, 2);
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_int(turn(0)->key, ==, 1); /* the second push did not move it back */
	push_run(&rig, READY_NEW, 1, 4, 4);
	check_int(raw_int(&rig, "ZCARD sluice:{s00}:ready"), ==, 1); /* held: not in line */
	close_rig();
}

static void
front_lane_is_merged_by_seq(void)
{
	static const int64_t news[] = {10, 11, 20, 40}, late[] = {5, 15, 30};
	/* a turn ends where the other lane's head comes first */
	static const struct {
		char lane;
		int count;
		int64_t first;
	} wanted[] = {{'f', 1, 5},  {'q', 2, 10}, {'f', 1, 15},
		      {'q', 1, 20}, {'f', 1, 30}, {'q', 1, 40}};
	struct lease_hand last = {0};

	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	push_seqs(&rig, READY_NEW, 1, news, 4);
	push_seqs(&rig, READY_FRONT, 1, late, 3);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		exchange(&rig, A, 1, 64, &last, i > 0 ? 1 : 0, &taken);
		check_int(taken.count, ==, 1);
		check_int(turn(0)->lane, ==, wanted[i].lane);
		check_int(turn(0)->count, ==, wanted[i].count);
		check_int(turn(0)->seqs[0], ==, wanted[i].first);
		last = hand(1, 1, turn(0)->count);
		last.lane = turn(0)->lane;
	}
	exchange(&rig, A, 1, 64, &last, 1, &taken);
	check_int(taken.count, ==, 0);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:fronts"), ==, 0);
	close_rig();
}

static void
a_key_with_late_jobs_only_is_served(void)
{
	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_FRONT, 9, 1, 2);
	exchange(&rig, A, 4, 64, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check(turn(0)->lane == 'f');
	check_int(turn(0)->count, ==, 2);
	close_rig();
}

/* ---- handing in ---- */

static void
a_hand_in_trims_what_was_settled_and_no_more(void)
{
	struct lease_hand last;

	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 5);
	exchange(&rig, A, 1, 3, NULL, 0, &taken);
	check_int(turn(0)->count, ==, 3);
	push_run(&rig, READY_NEW, 1, 6, 7); /* grows at the tail meanwhile */
	last = hand(1, 1, 2);
	exchange(&rig, A, 1, 64, &last, 1, &taken);
	check_int(turn(0)->count, ==, 5);
	check_int(turn(0)->seqs[0], ==, 3);
	check_int(turn(0)->seqs[4], ==, 7);
	last = hand(1, 1, 0);
	exchange(&rig, A, 1, 64, &last, 1, &taken);
	check_int(turn(0)->count, ==, 5);
	close_rig();
}

static void
a_key_is_kept_only_while_nobody_waits(void)
{
	struct lease_hand last = hand(1, 1, 1);

	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 4);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check(!turn(0)->kept);
	exchange(&rig, A, 1, 1, &last, 1, &taken);
	check(turn(0)->kept);
	check_text(turn(0)->holder, A);
	check_int(turn(0)->session, ==, -1);
	check_int(turn(0)->seqs[0], ==, 2);
	push_run(&rig, READY_NEW, 2, 5, 5);
	exchange(&rig, A, 1, 1, &last, 1, &taken);
	check_int(taken.count, ==, 1);
	check_int(turn(0)->key, ==, 2);
	check(!turn(0)->kept);
	close_rig();
}

static void
wanting_no_turn_hands_in_and_renews(void)
{
	struct lease_hand last = hand(1, 3, 1);

	open_rig();
	check_int(join(&rig, A, 1000).code, ==, SL_OK);
	check_int(join(&rig, B, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 2);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	exchange(&rig, A, 0, 1, &last, 1, &taken);
	check_int(taken.code, ==, SL_OK);
	check_int(taken.count, ==, 0);
	rig_sleep(1100); /* past the lease of the join: the exchange has renewed it */
	check_int(expire(&rig, NULL).value, ==, 0);
	exchange(&rig, B, 1, 1, NULL, 0, &taken);
	check_int(turn(0)->seqs[0], ==, 2);
	close_rig();
}

static void
a_turn_of_somebody_else_cannot_be_handed_in(void)
{
	struct lease_hand last = hand(1, 1, 1);

	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	check_int(join(&rig, B, RIG_TTL_MS).code, ==, SL_OK);
	check_int(join(&rig, "1.aaa", RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 2);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	exchange(&rig, B, 1, 1, &last, 1, &taken);
	check_int(taken.count, ==, 0);
	exchange(&rig, "1.aaa", 1, 1, &last, 1, &taken); /* a prefix of the holder's name */
	check_int(taken.count, ==, 0);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:q:1"), ==, 2);
	close_rig();
}

static void
a_held_key_is_not_taken_even_if_it_stands_in_line(void)
{
	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	check_int(join(&rig, B, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 2);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	raw_int(&rig, "ZADD sluice:{s00}:ready 0 1");
	exchange(&rig, B, 1, 1, NULL, 0, &taken);
	check_int(taken.code, ==, SL_OK);
	check_int(taken.count, ==, 0);
	close_rig();
}

/* ---- tokens ---- */

static void
a_clean_token_goes_to_the_next_holder(void)
{
	struct lease_hand last = hand(1, 12, 1);

	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	check_int(join(&rig, B, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 2);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	exchange(&rig, A, 0, 1, &last, 1, &taken);
	exchange(&rig, B, 1, 1, NULL, 0, &taken);
	check_text(turn(0)->holder, A);
	check_int(turn(0)->session, ==, 1);
	check_int(turn(0)->tenure, ==, 12);
	check(!turn(0)->kept);
	close_rig();
}

static void
a_refused_claim_leaves_the_clean_token(void)
{
	struct lease_hand last = hand(1, 12, 1);

	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	check_int(join(&rig, B, RIG_TTL_MS).code, ==, SL_OK);
	check_int(join(&rig, C, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 3);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	exchange(&rig, A, 0, 1, &last, 1, &taken);
	exchange(&rig, B, 1, 1, NULL, 0, &taken);
	last = (struct lease_hand){.key_id = 1, .lane = 'q', .count = 0, .clean = false};
	exchange(&rig, B, 0, 1, &last, 1, &taken);
	exchange(&rig, C, 1, 1, NULL, 0, &taken);
	check_text(turn(0)->holder, A);
	check_int(turn(0)->tenure, ==, 12);
	check_int(turn(0)->seqs[0], ==, 2);
	close_rig();
}

static void
an_unclean_hand_in_proves_nothing(void)
{
	struct lease_hand last = {
	    .key_id = 1, .lane = 'q', .tenure = 9, .count = 1, .clean = false};

	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	check_int(join(&rig, B, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 3);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	exchange(&rig, A, 4, 1, &last, 1, &taken);
	check_int(taken.count, ==, 0);                  /* neither kept nor taken again at once */
	check_int(wait_token(&rig, 1000).value, ==, 1); /* others may have it */
	exchange(&rig, B, 1, 1, NULL, 0, &taken);
	check_text(turn(0)->holder, A);
	check_int(turn(0)->session, ==, -1);
	check_int(turn(0)->tenure, ==, -1);
	check_int(turn(0)->seqs[0], ==, 2);
	close_rig();
}

/* ---- leases ---- */

static void
a_lease_that_ran_out_gives_nothing(void)
{
	struct lease_hand last = hand(1, 1, 1);

	open_rig();
	check_int(join(&rig, A, 60).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 2);
	taken_fini(&taken);
	lease_exchange(rig.queue, A, 60, &(struct lease_want){.turns = 1, .jobs = 1}, NULL, 0,
		       on_taken, &taken);
	rig_until(&rig, &taken.done);
	check_int(taken.count, ==, 1);
	rig_sleep(80);
	exchange(&rig, A, 1, 1, &last, 1, &taken);
	check_int(taken.code, ==, SL_CONFLICT);
	check_text(taken.text, "lease");
	check_int(raw_int(&rig, "LLEN sluice:{s00}:q:1"), ==, 2);
	exchange(&rig, "9.unknown", 1, 1, NULL, 0, &taken);
	check_int(taken.code, ==, SL_CONFLICT);
	check_text(taken.text, "lease");
	close_rig();
}

static void
keys_of_a_lost_worker_come_back_in_front(void)
{
	open_rig();
	check_int(join(&rig, A, 60).code, ==, SL_OK);
	check_int(join(&rig, B, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 2);
	lease_exchange(rig.queue, A, 60, &(struct lease_want){.turns = 1, .jobs = 1}, NULL, 0,
		       on_taken, &taken);
	rig_until(&rig, &taken.done);
	push_run(&rig, READY_NEW, 2, 3, 3);
	check_int(expire(&rig, NULL).value, ==, 0);
	rig_sleep(80);
	check_int(expire(&rig, NULL).value, ==, 1);
	check_int(expire(&rig, NULL).value, ==, 0);
	exchange(&rig, B, 2, 1, NULL, 0, &taken);
	check_int(taken.count, ==, 2);
	check_int(turn(0)->key, ==, 1);
	check_int(turn(0)->seqs[0], ==, 1); /* it had never left its list */
	check_text(turn(0)->holder, A);
	check_int(turn(0)->session, ==, -1);
	check_int(turn(1)->key, ==, 2);
	close_rig();
}

static void
a_worker_lost_before_its_claim_leaves_the_clean_token(void)
{
	struct lease_hand last = hand(1, 12, 1);

	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	check_int(join(&rig, B, RIG_TTL_MS).code, ==, SL_OK);
	check_int(join(&rig, C, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 3);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	exchange(&rig, A, 0, 1, &last, 1, &taken);
	exchange(&rig, B, 1, 1, NULL, 0, &taken);
	check_int(expire(&rig, B).value, ==, 1);
	exchange(&rig, C, 1, 1, NULL, 0, &taken);
	check_text(turn(0)->holder, A);
	check_int(turn(0)->tenure, ==, 12);
	close_rig();
}

static void
a_worker_that_leaves_frees_its_own_keys_only(void)
{
	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	check_int(join(&rig, B, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 1);
	push_run(&rig, READY_NEW, 2, 2, 2);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	exchange(&rig, B, 1, 1, NULL, 0, &taken);
	check_int(turn(0)->key, ==, 2);
	check_int(expire(&rig, A).value, ==, 1);
	check_int(expire(&rig, A).value, ==, 0); /* a second time: no harm */
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_text(taken.text, "lease");
	exchange(&rig, B, 5, 1, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check_int(turn(0)->key, ==, 1);
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	close_rig();
}

/* ---- wake ---- */

static void
one_token_wakes_and_is_passed_on(void)
{
	struct said said = {0};

	open_rig();
	check_int(wait_token(&rig, 30).value, ==, 0); /* nothing to do */
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 2);
	push_run(&rig, READY_NEW, 2, 3, 4);
	push_run(&rig, READY_NEW, 3, 5, 6);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:wake"), ==, 1);
	check_int(wait_token(&rig, 1000).value, ==, 1);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:wake"), ==, 0);
	exchange(&rig, A, 2, 1, NULL, 0, &taken); /* leaves key 3 behind */
	check_int(raw_int(&rig, "LLEN sluice:{s00}:wake"), ==, 1);
	exchange(&rig, A, 1, 1, NULL, 0, &taken); /* the last one */
	check_int(raw_int(&rig, "LLEN sluice:{s00}:wake"), ==, 1);
	check_int(wait_token(&rig, 1000).value, ==, 1);
	lease_wake(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
	check_int(said.value, ==, 0); /* no key waits: nobody needs waking */
	push_run(&rig, READY_NEW, 4, 7, 7);
	check_int(wait_token(&rig, 1000).value, ==, 1);
	for (int i = 0; i < 2; i++) { /* woken without room: put it back, once */
		said = (struct said){0};
		lease_wake(rig.queue, on_said, &said);
		rig_until(&rig, &said.done);
		check_int(said.value, ==, i == 0);
	}
	check_int(raw_int(&rig, "LLEN sluice:{s00}:wake"), ==, 1);
	close_rig();
}

static void
a_push_wakes_the_one_that_waits(void)
{
	struct said said = {0};
	bool blocked = false;

	open_rig();
	lease_wait(rig.queue, 10000, true, on_said, &said);
	for (int tries = 0; tries < 1000 && !blocked;
	     tries++) { /* until the server has it blocked */
		redisReply *reply = redisCommand(rig.raw, "INFO clients");

		blocked = strstr(reply->str, "blocked_clients:1") != NULL;
		freeReplyObject(reply);
		loop_turn(rig.loop, 5);
	}
	check(blocked);
	check(!said.done);
	push_run(&rig, READY_NEW, 1, 1, 1);
	rig_until(&rig, &said.done);
	check_int(said.value, ==, 1);
	close_rig();
}

int
main(void)
{
	if (rig_url() == NULL) {
		printf("1..0 # SKIP SLUICE_TEST_REDIS is not set\n");
		return 77;
	}
	log_set_level(LOG_LEVEL_ERROR);
	CHECK_RUN(jobs_come_in_the_order_of_the_pushes);
	CHECK_RUN(envelopes_are_bytes);
	CHECK_RUN(keys_are_served_in_turn);
	CHECK_RUN(a_waiting_key_is_in_line_once);
	CHECK_RUN(front_lane_is_merged_by_seq);
	CHECK_RUN(a_key_with_late_jobs_only_is_served);
	CHECK_RUN(a_hand_in_trims_what_was_settled_and_no_more);
	CHECK_RUN(a_key_is_kept_only_while_nobody_waits);
	CHECK_RUN(wanting_no_turn_hands_in_and_renews);
	CHECK_RUN(a_turn_of_somebody_else_cannot_be_handed_in);
	CHECK_RUN(a_held_key_is_not_taken_even_if_it_stands_in_line);
	CHECK_RUN(a_clean_token_goes_to_the_next_holder);
	CHECK_RUN(a_refused_claim_leaves_the_clean_token);
	CHECK_RUN(an_unclean_hand_in_proves_nothing);
	CHECK_RUN(a_lease_that_ran_out_gives_nothing);
	CHECK_RUN(keys_of_a_lost_worker_come_back_in_front);
	CHECK_RUN(a_worker_lost_before_its_claim_leaves_the_clean_token);
	CHECK_RUN(a_worker_that_leaves_frees_its_own_keys_only);
	CHECK_RUN(one_token_wakes_and_is_passed_on);
	CHECK_RUN(a_push_wakes_the_one_that_waits);
	return check_done();
}
