/* queue/ against a real Redis that loses its epoch: refusal, rebuild, two schedulers at it.
 * SLUICE_TEST_REDIS names the server (a URL or a socket's path); it is emptied.  77: not set. */
#include "tests/integration/queue_rig.h"

#define A "1.aaaa"

static struct rig rig, other;
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

static struct said
read_epoch(struct rig *from)
{
	struct said said = {0};

	queue_read_epoch(from->queue, on_said, &said);
	rig_until(from, &said.done);
	return said;
}

static void
nothing(void *arg)
{
	(void)arg;
}

/* Until what the queue has sent by itself is answered: one more round trip on its connection. */
static void
settle_down(struct rig *of)
{
	read_epoch(of);
	loop_soon(of->loop, nothing, NULL);
	loop_turn(of->loop, 0);
}

/* ---- epoch ---- */

static void
without_an_epoch_everything_is_refused(void)
{
	struct said said = {0};

	rig_open_queue(&rig, rig_url(), 0, 5000);
	rig.raw = raw_connect(rig_url());
	raw_int(&rig, "FLUSHALL");
	rig_until_up(&rig, true);
	check_int(read_epoch(&rig).code, ==, SL_NOT_FOUND);
	check_text(queue_epoch(rig.queue), "");
	said = push_run(&rig, READY_NEW, 1, 1, 1);
	check_int(said.code, ==, SL_CONFLICT);
	check_text(said.text, "epoch");
	said = join(&rig, A, RIG_TTL_MS);
	check_int(said.code, ==, SL_CONFLICT);
	check_text(said.text, "epoch");
	check_int(expire(&rig, NULL).code, ==, SL_CONFLICT);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_int(taken.code, ==, SL_CONFLICT);
	check_text(taken.text, "epoch");
	said = (struct said){0};
	ready_position(rig.queue, 1, 1, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_CONFLICT);
	check_int(raw_int(&rig, "DBSIZE"), ==, 0);
	close_rig();
}

static void
the_rest_of_a_refused_push_is_not_sent(void)
{
	struct said small = {0}, large;
	struct ready_entry entry = {.key_id = 1, .envelope = SLICE_LITERAL("000000009999")};
	long long before;

	open_rig();
	raw_int(&rig, "FLUSHALL");
	before = script_calls(&rig);
	ready_push(rig.queue, READY_FRONT, &entry, 1, on_said, &small);
	large = push_run(&rig, READY_NEW, 1, 1, 1777); /* four calls, if the first were good */
	check_int(small.code, ==, SL_CONFLICT);
	check_int(large.code, ==, SL_CONFLICT);
	check_int(script_calls(&rig) - before, ==, 2);
	close_rig();
}

static void
a_flush_is_noticed_and_rebuilt(void)
{
	char before[64];
	struct said said;

	open_rig();
	snprintf(before, sizeof(before), "%s", queue_epoch(rig.queue));
	check(strlen(before) > 20);
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 2);
	raw_int(&rig, "FLUSHALL");
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_text(taken.text, "epoch");
	check_int(read_epoch(&rig).code, ==, SL_NOT_FOUND);
	check_text(queue_epoch(rig.queue), "");

	said = (struct said){0};
	queue_rebuild_begin(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
	check_int(push_run(&rig, READY_NEW, 1, 1, 2).code, ==, SL_OK);
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_CONFLICT); /* not before it is published */
	said = (struct said){0};
	queue_rebuild_end(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
	check(strcmp(queue_epoch(rig.queue), before) != 0);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_text(taken.text, "lease"); /* the old turns are void */
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	exchange(&rig, A, 1, 64, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check_int(taken.turns[0].count, ==, 2);
	close_rig();
}

static void
another_process_adopts_the_new_epoch_after_one_refusal(void)
{
	open_rig();
	rig_open_queue(&other, rig_url(), 0, 5000);
	rig_until_up(&other, true);
	check_text(queue_epoch(other.queue), queue_epoch(rig.queue));
	check_int(push_run(&other, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	raw_int(&rig, "FLUSHALL");
	check_int(rig_rebuild(&rig), ==, SL_OK);
	check_int(push_run(&other, READY_NEW, 1, 2, 2).code, ==, SL_CONFLICT);
	settle_down(&other);
	check_text(queue_epoch(other.queue), queue_epoch(rig.queue));
	check_int(push_run(&other, READY_NEW, 1, 3, 3).code, ==, SL_OK);
	rig_close(&other);
	close_rig();
}

static void
a_second_rebuild_takes_over_and_the_first_is_refused(void)
{
	struct said said = {0};

	open_rig();
	rig_open_queue(&other, rig_url(), 0, 5000);
	rig_until_up(&other, true);
	queue_rebuild_begin(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	said = (struct said){0};
	queue_rebuild_begin(other.queue, on_said, &said);
	rig_until(&other, &said.done);
	check_int(said.code, ==, SL_OK);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:q:1"), ==, 0);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_CONFLICT);
	said = (struct said){0};
	queue_rebuild_end(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_CONFLICT);
	said = (struct said){0};
	queue_rebuild_end(other.queue, on_said, &said);
	rig_until(&other, &said.done);
	check_int(said.code, ==, SL_OK);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:build"), ==, 0);
	said = (struct said){0};
	queue_rebuild_end(rig.queue, on_said, &said); /* an end without a begin */
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_CONFLICT);
	rig_close(&other);
	close_rig();
}

static void
a_rebuild_drops_all_keys_of_its_shard_only(void)
{
	open_rig();
	rig_open_queue(&other, rig_url(), 1, 5000);
	rig_until_up(&other, true);
	check_int(rig_rebuild(&other), ==, SL_OK);
	for (int key = 0; key < 3; key++)
		check_int(push_run(&other, READY_NEW, key, 1, 1).code, ==, SL_OK);
	for (int key = 0; key < 2500; key++)
		raw_int(&rig, "RPUSH sluice:{s00}:q:%d x", key);
	raw_int(&rig, "SET somebody:else x");
	check_int(rig_rebuild(&rig), ==, SL_OK);
	check_int(raw_int(&rig, "KEYS sluice:{s00}:*"), ==, 1); /* the epoch */
	check_int(raw_int(&rig, "EXISTS somebody:else"), ==, 1);
	check_int(push_run(&other, READY_NEW, 3, 1, 1).code, ==, SL_OK);
	check_int(raw_int(&rig, "LLEN sluice:{s01}:q:0"), ==, 1);
	rig_close(&other);
	close_rig();
}

static void
a_new_job_does_not_overtake_those_a_rebuild_brings(void)
{
	static const int64_t wanted[] = {1, 2, 3, 4, 50, 51, 52};
	struct said said = {0};
	int at = 0, hands = 0;
	struct lease_hand last = {0};

	open_rig();
	queue_rebuild_begin(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	push_run(&rig, READY_NEW, 1, 50, 51); /* accepted while the ledger is read */
	push_run(&rig, READY_NEW, 1, 1, 2);   /* from the ledger */
	push_run(&rig, READY_NEW, 1, 3, 4);
	push_run(&rig, READY_NEW, 1, 52, 52);
	said = (struct said){0};
	queue_rebuild_end(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	while (at < 7) {
		exchange(&rig, A, 1, 64, &last, hands, &taken);
		check_int(taken.count, ==, 1);
		for (int i = 0; i < taken.turns[0].count; i++)
			check_int(taken.turns[0].seqs[i], ==, wanted[at++]);
		last = hand_of(&taken.turns[0], 1, taken.turns[0].count);
		hands = 1;
	}
	check_int(at, ==, 7);
	close_rig();
}

int
main(void)
{
	if (rig_url() == NULL) {
		printf("1..0 # SKIP SLUICE_TEST_REDIS is not set\n");
		return 77;
	}
	log_set_level((enum log_level)0); /* these faults are meant */
	CHECK_RUN(without_an_epoch_everything_is_refused);
	CHECK_RUN(the_rest_of_a_refused_push_is_not_sent);
	CHECK_RUN(a_flush_is_noticed_and_rebuilt);
	CHECK_RUN(another_process_adopts_the_new_epoch_after_one_refusal);
	CHECK_RUN(a_second_rebuild_takes_over_and_the_first_is_refused);
	CHECK_RUN(a_rebuild_drops_all_keys_of_its_shard_only);
	CHECK_RUN(a_new_job_does_not_overtake_those_a_rebuild_brings);
	return check_done();
}
