/* queue/call against a real Redis: calls that wait, answers, leases that stand; shards in the epoch.
 * SLUICE_TEST_REDIS names the server (a URL or a socket's path); it is emptied.  77: not set. */
#include "queue/call.h"

#include "tests/integration/queue_rig.h"

#define A "1.aaaa"
#define NODE "7.node"

static struct rig rig, other;

/* What a call_take_cb was told; copied. */
struct given {
	bool done;
	enum sl_code code;
	int count;
	struct buf bytes[CALL_TAKE_MAX];
};

static struct given given;

static void
on_given(void *arg, enum sl_code code, const struct slice *envelopes, int count,
	 const struct sl_error *error)
{
	struct given *to = arg;

	check((error != NULL) == (code != SL_OK));
	to->done = true;
	to->code = code;
	to->count = count;
	for (int i = 0; i < count; i++) {
		buf_init(&to->bytes[i], 16 << 20);
		buf_add_slice(&to->bytes[i], envelopes[i]);
	}
}

static void
given_fini(void)
{
	for (int i = 0; i < given.count; i++)
		buf_fini(&given.bytes[i]);
	given = (struct given){0};
}

static void
open_rig(void)
{
	rig_open(&rig, rig_url());
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
}

static void
close_rig(void)
{
	given_fini();
	rig_close(&rig);
}

static struct said
push_call(struct slice envelope)
{
	struct said said = {0};

	call_push(rig.queue, envelope, on_said, &said);
	rig_until(&rig, &said.done);
	return said;
}

static struct said
withdraw(const char *envelope)
{
	struct said said = {0};

	call_withdraw(rig.queue, slice_text(envelope), on_said, &said);
	rig_until(&rig, &said.done);
	return said;
}

static struct said
answer(struct slice bytes)
{
	struct said said = {0};

	call_answer(rig.queue, NODE, bytes, on_said, &said);
	rig_until(&rig, &said.done);
	return said;
}

static void
take_calls(int count)
{
	given_fini();
	call_take(rig.queue, count, on_given, &given);
	rig_until(&rig, &given.done);
}

static void
wait_answers(int64_t wait_ms)
{
	given_fini();
	call_wait(rig.queue, NODE, wait_ms, on_given, &given);
	rig_until(&rig, &given.done);
}

static int64_t
is_live(const char *worker)
{
	struct said said = {0};

	lease_is_live(rig.queue, worker, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
	return said.value;
}

/* ---- calls ---- */

static void
calls_are_taken_once_the_oldest_first(void)
{
	struct taken taken = {0};

	open_rig();
	check_int(push_call(SLICE_LITERAL("one")).value, ==, 1);
	check_int(wait_token(&rig, 1000).value, ==, 1); /* it wakes like a push */
	check_int(push_call(SLICE_LITERAL("two\0bytes")).code, ==, SL_OK);
	check_int(push_call(SLICE_LITERAL("three")).code, ==, SL_OK);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_int(taken.waits.calls, ==, 3);
	check_int(taken.count, ==, 0);
	raw_int(&rig, "DEL sluice:{s00}:wake");
	take_calls(2);
	check_int(given.count, ==, 2);
	check(slice_is(buf_slice(&given.bytes[0]), "one"));
	check(slice_equal(buf_slice(&given.bytes[1]), SLICE_LITERAL("two\0bytes")));
	check_int(raw_int(&rig, "LLEN sluice:{s00}:wake"), ==, 1); /* one is left behind */
	take_calls(CALL_TAKE_MAX);
	check_int(given.count, ==, 1);
	take_calls(1);
	check_int(given.count, ==, 0);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:calls sluice:{s00}:call_bytes"), ==, 0);
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_int(taken.waits.calls, ==, 0);
	taken_fini(&taken);
	close_rig();
}

static void
a_withdrawn_call_is_not_taken(void)
{
	open_rig();
	push_call(SLICE_LITERAL("one"));
	push_call(SLICE_LITERAL("two"));
	check_int(withdraw("one").value, ==, 1);
	check_int(withdraw("one").value, ==, 0);
	take_calls(5);
	check_int(given.count, ==, 1);
	check(slice_is(buf_slice(&given.bytes[0]), "two"));
	check_int(withdraw("two").value, ==, 0); /* taken */
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:call_bytes"), ==, 0);
	close_rig();
}

static void
too_many_calls_or_bytes_are_refused(void)
{
	enum { SIZE = 8 << 20 };
	char *bytes = sl_alloc(SIZE);
	struct said said = {0};

	open_rig();
	for (int i = 0; i < CALLS_WAITING_MAX; i++)
		call_push(rig.queue, SLICE_LITERAL("x"), on_said, &said);
	said = push_call(SLICE_LITERAL("x"));
	check_int(said.code, ==, SL_EXHAUSTED);
	check(strstr(said.text, "too many calls") != NULL);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:calls"), ==, CALLS_WAITING_MAX);
	take_calls(1);
	check_int(push_call(SLICE_LITERAL("x")).code, ==, SL_OK);
	raw_int(&rig, "DEL sluice:{s00}:calls"); /* the counter is right again with the next */
	for (int i = 0; i < CALLS_WAITING_BYTES_MAX / SIZE; i++)
		check_int(push_call((struct slice){bytes, SIZE}).code, ==, SL_OK);
	check_int(push_call(SLICE_LITERAL("x")).code, ==, SL_EXHAUSTED);
	take_calls(1);
	check_int(given.bytes[0].len, ==, SIZE);
	check_int(push_call(SLICE_LITERAL("x")).code, ==, SL_OK);
	free(bytes);
	close_rig();
}

static void
without_an_epoch_no_call_is_entered(void)
{
	open_rig();
	push_call(SLICE_LITERAL("one"));
	raw_int(&rig, "DEL sluice:{s00}:epoch");
	check_int(push_call(SLICE_LITERAL("two")).code, ==, SL_CONFLICT);
	check_int(withdraw("one").code, ==, SL_CONFLICT);
	take_calls(1);
	check_int(given.code, ==, SL_CONFLICT);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:calls"), ==, 1);
	close_rig();
}

/* ---- answers ---- */

static void
answers_come_to_their_node_and_outlive_a_rebuild(void)
{
	open_rig();
	wait_answers(30);
	check_int(given.code, ==, SL_OK);
	check_int(given.count, ==, 0); /* the time is over */
	check_int(answer(SLICE_LITERAL("started")).code, ==, SL_OK);
	check_int(answer(SLICE_LITERAL("ended\0x")).code, ==, SL_OK);
	check_int(raw_int(&rig, "PTTL sluice:{s00}:reply:" NODE), >, 100000);
	check_int(rig_rebuild(&rig), ==, SL_OK);
	wait_answers(10000);
	check_int(given.count, ==, 2);
	check(slice_is(buf_slice(&given.bytes[0]), "started"));
	check(slice_equal(buf_slice(&given.bytes[1]), SLICE_LITERAL("ended\0x")));
	wait_answers(30);
	check_int(given.count, ==, 0); /* once */
	close_rig();
}

static void
an_answer_that_comes_while_the_node_waits_is_given_at_once(void)
{
	int64_t start_ms;

	open_rig();
	wait_answers(1); /* connected */
	given_fini();
	start_ms = clock_mono_ms();
	call_wait(rig.queue, NODE, 10000, on_given, &given);
	for (int tries = 0; tries < 1000; tries++) { /* until the server has it blocked */
		redisReply *reply = redisCommand(rig.raw, "INFO clients");
		bool blocked = strstr(reply->str, "blocked_clients:1") != NULL;

		freeReplyObject(reply);
		if (blocked)
			break;
		loop_turn(rig.loop, 5);
	}
	check(!given.done);
	answer(SLICE_LITERAL("ended"));
	rig_until(&rig, &given.done);
	check_int(given.count, ==, 1);
	check_int(clock_mono_ms() - start_ms, <, 9000);
	close_rig();
}

static void
an_answer_whose_way_was_cut_is_given_again(void)
{
	open_rig();
	wait_answers(1);
	answer(SLICE_LITERAL("one"));
	wait_answers(1000);
	check_int(given.count, ==, 1);
	answer(SLICE_LITERAL("two"));
	given_fini();
	call_wait(rig.queue, NODE, 1000, on_given, &given); /* what it reads is lost on the way */
	raw_int(&rig, "CLIENT KILL TYPE normal SKIPME yes");
	rig_until(&rig, &given.done);
	rig_until_up(&rig, false);
	rig_until_up(&rig, true);
	for (int i = 0; i < 100 && (given.code != SL_OK || given.count == 0); i++)
		wait_answers(1000);
	check_int(given.count, >, 0);
	check(slice_is(buf_slice(&given.bytes[given.count - 1]), "two"));
	close_rig();
}

static void
many_and_large_answers_come_in_portions(void)
{
	enum { SIZE = 4 << 20, COUNT = 20 };
	char *bytes = sl_alloc(SIZE);
	int got = 0;

	open_rig();
	for (int i = 0; i < COUNT; i++) {
		snprintf(bytes, SIZE, "%04d", i);
		check_int(answer((struct slice){bytes, i == 3 ? SIZE : 4}).code, ==, SL_OK);
	}
	while (got < COUNT) {
		wait_answers(1000);
		check_int(given.count, >, 0);
		for (int i = 0; i < given.count; i++, got++) {
			check_int(atol(given.bytes[i].data), ==, got);
			check_int(given.bytes[i].len, ==, got == 3 ? SIZE : 4);
		}
	}
	raw_int(&rig, "EVAL %s 0",
		"for i = 1, 5000 do redis.call('RPUSH', "
		"'sluice:{s00}:reply:" NODE "', 'x') end return 1");
	check_int(answer(SLICE_LITERAL("x")).code, ==, SL_EXHAUSTED);
	free(bytes);
	close_rig();
}

static void
waiting_without_a_server_takes_its_time_and_ends_with_the_queue(void)
{
	rig_open_queue(&rig, "unix:///nonexistent/redis.sock", 0, 1000);
	wait_answers(50);
	check_int(given.code, ==, SL_OK);
	check_int(given.count, ==, 0);
	given_fini();
	call_wait(rig.queue, NODE, 10000, on_given, &given);
	queue_free(rig.queue);
	check(given.done);
	check_int(given.code, ==, SL_UNAVAILABLE);
	loop_turn(rig.loop, 0);
	loop_free(rig.loop);
	open_rig();
	wait_answers(1);
	given_fini();
	call_wait(rig.queue, NODE, 10000, on_given, &given); /* blocked on the server */
	loop_turn(rig.loop, 20);
	queue_free(rig.queue);
	check(given.done);
	check_int(given.code, ==, SL_UNAVAILABLE);
	loop_turn(rig.loop, 0);
	loop_free(rig.loop);
	redisFree(rig.raw);
	given_fini();
}

/* ---- leases ---- */

static void
a_lease_is_live_until_it_runs_out_or_is_given_up(void)
{
	open_rig();
	check_int(is_live(A), ==, 1);
	check_int(is_live("9.unknown"), ==, 0);
	check_int(join(&rig, "2.short", 50).code, ==, SL_OK);
	check_int(is_live("2.short"), ==, 1);
	for (int i = 0; i < 200 && is_live("2.short") == 1; i++)
		rig_sleep(10);
	check_int(is_live("2.short"), ==, 0);
	check_int(expire(&rig, A).value, ==, 1);
	check_int(is_live(A), ==, 0);
	close_rig();
}

/* ---- shards ---- */

static void
open_with_shards(struct rig *to, int shard, int shards)
{
	const struct queue_settings settings = {
	    .url = rig_url(), .shard = shard, .shards = shards, .timeout_ms = 5000};

	*to = (struct rig){0};
	to->loop = loop_new();
	check_int(queue_new(to->loop, &settings, on_rig_state, to, &to->queue, NULL), ==, SL_OK);
	rig_until_up(to, true);
}

static void
an_epoch_for_another_number_of_shards_is_another_epoch(void)
{
	struct said said = {0};

	open_rig();
	check(strcmp(queue_epoch(rig.queue) + strlen(queue_epoch(rig.queue)) - 3, "-n1") == 0);
	open_with_shards(&other, 0, 16);
	check_text(queue_epoch(other.queue), "");
	check_int(push_run(&other, READY_NEW, 1, 1, 1).code, ==, SL_CONFLICT);
	queue_read_epoch(other.queue, on_said, &said);
	rig_until(&other, &said.done);
	check_int(said.code, ==, SL_NOT_FOUND); /* as if there were none: rebuild */
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	check_int(rig_rebuild(&other), ==, SL_OK);
	check_int(push_run(&other, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_CONFLICT);
	rig_close(&other);
	open_with_shards(&other, 15, 16);
	check_int(rig_rebuild(&other), ==, SL_OK);
	check_int(raw_int(&rig, "EXISTS sluice:{s15}:epoch"), ==, 1);
	rig_close(&other);
	close_rig();
}

static void
epochs_that_only_look_alike_do_not_fit(void)
{
	static const char *const epochs[] = {"x", "x-n", "-n1", "x-n11", "x-n1 ", "x-n01", "xn1"};

	open_rig();
	for (size_t i = 0; i < sizeof(epochs) / sizeof(epochs[0]); i++) {
		struct said said = {0};

		raw_int(&rig, "SET sluice:{s00}:epoch %s", epochs[i]);
		queue_read_epoch(rig.queue, on_said, &said);
		rig_until(&rig, &said.done);
		check_int(said.code, ==, SL_NOT_FOUND);
		check_text(queue_epoch(rig.queue), "");
	}
	close_rig();
}

static void
shards_out_of_range_are_refused(void)
{
	static const int bad[][2] = {{0, -1}, {0, 65}, {-1, 1}, {1, 1}, {64, 64}, {1, 0}};
	struct loop *loop = loop_new();
	struct sl_error error;
	struct queue *queue;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct queue_settings settings = {
		    .url = "redis://127.0.0.1:1", .shard = bad[i][0], .shards = bad[i][1]};

		check_int(queue_new(loop, &settings, NULL, NULL, &queue, &error), ==, SL_INVALID);
		check(strstr(error.text, "shard") != NULL);
	}
	loop_free(loop);
}

int
main(void)
{
	if (rig_url() == NULL) {
		printf("1..0 # SKIP SLUICE_TEST_REDIS is not set\n");
		return 77;
	}
	log_set_level((enum log_level)0); /* the faults are meant */
	signal(SIGPIPE, SIG_IGN);         /* as the daemon does */
	CHECK_RUN(calls_are_taken_once_the_oldest_first);
	CHECK_RUN(a_withdrawn_call_is_not_taken);
	CHECK_RUN(too_many_calls_or_bytes_are_refused);
	CHECK_RUN(without_an_epoch_no_call_is_entered);
	CHECK_RUN(answers_come_to_their_node_and_outlive_a_rebuild);
	CHECK_RUN(an_answer_that_comes_while_the_node_waits_is_given_at_once);
	CHECK_RUN(an_answer_whose_way_was_cut_is_given_again);
	CHECK_RUN(many_and_large_answers_come_in_portions);
	CHECK_RUN(waiting_without_a_server_takes_its_time_and_ends_with_the_queue);
	CHECK_RUN(a_lease_is_live_until_it_runs_out_or_is_given_up);
	CHECK_RUN(an_epoch_for_another_number_of_shards_is_another_epoch);
	CHECK_RUN(epochs_that_only_look_alike_do_not_fit);
	CHECK_RUN(shards_out_of_range_are_refused);
	return check_done();
}
