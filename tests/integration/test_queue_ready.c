/* queue/ready against a real Redis: pushes that share calls, and what is asked about lists.
 * SLUICE_TEST_REDIS names the server (a URL or a socket's path); it is emptied.  77: not set. */
#include "tests/integration/queue_rig.h"

#define A "1.aaaa"

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

/* ---- gathering ---- */

static void
pushes_meanwhile_share_a_script_call(void)
{
	enum { PUSHES = 1200, KEYS = 40 };
	struct said *said = sl_calloc(PUSHES, sizeof(*said));
	int64_t next[KEYS] = {0};
	long long before;

	open_rig();
	before = script_calls(&rig);
	for (int i = 0; i < PUSHES; i++) {
		char text[32];
		struct ready_entry entry = {.key_id = i % KEYS};

		entry.envelope.len = envelope_text(text, sizeof(text), i);
		entry.envelope.data = text;
		ready_push(rig.queue, READY_NEW, &entry, 1, on_said, &said[i]);
	}
	rig_until(&rig, &said[PUSHES - 1].done);
	for (int i = 0; i < PUSHES; i++) {
		check(said[i].done);
		check_int(said[i].code, ==, SL_OK);
	}
	check_int(script_calls(&rig) - before, ==, 4); /* 1, 500, 500, 199 */
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	exchange(&rig, A, KEYS, 64, NULL, 0, &taken);
	check_int(taken.count, ==, KEYS);
	for (int i = 0; i < KEYS; i++) {
		check_int(turn(i)->count, ==, PUSHES / KEYS);
		for (int j = 0; j < turn(i)->count; j++)
			check_int(turn(i)->seqs[j], ==, turn(i)->key + KEYS * next[turn(i)->key]++);
	}
	free(said);
	close_rig();
}

static void
a_large_push_is_split_and_answered_once(void)
{
	struct said said = {0};

	open_rig();
	said = push_run(&rig, READY_NEW, 1, 1, 1777);
	check_int(said.code, ==, SL_OK);
	check_int(said.value, ==, 1777);
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	exchange(&rig, A, 1, 2000, NULL, 0, &taken);
	check_int(turn(0)->count, ==, 1777);
	for (int i = 0; i < 1777; i++)
		check_int(turn(0)->seqs[i], ==, i + 1);
	close_rig();
}

static void
large_envelopes_are_split_by_bytes(void)
{
	enum { COUNT = 9, SIZE = 300 * 1024 };
	struct ready_entry entries[COUNT];
	char *bytes = sl_alloc((size_t)COUNT * SIZE);
	struct said said = {0};
	long long before;

	open_rig();
	for (int i = 0; i < COUNT; i++) {
		char seq[13];

		snprintf(seq, sizeof(seq), "%012d", i);
		memcpy(bytes + (size_t)i * SIZE, seq, 12);
		entries[i] =
		    (struct ready_entry){.key_id = 1, .envelope = {bytes + (size_t)i * SIZE, SIZE}};
	}
	before = script_calls(&rig);
	ready_push(rig.queue, READY_NEW, entries, COUNT, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
	check_int(script_calls(&rig) - before, ==, 3); /* three of them are under 1 MiB */
	check_int(raw_int(&rig, "LLEN sluice:{s00}:q:1"), ==, COUNT);
	free(bytes);
	close_rig();
}

static void
lanes_are_not_mixed_in_a_call(void)
{
	struct said said[6] = {0};

	open_rig();
	for (int i = 0; i < 6; i++) {
		char text[32];
		struct ready_entry entry = {.key_id = 1};

		entry.envelope.len = envelope_text(text, sizeof(text), i);
		entry.envelope.data = text;
		ready_push(rig.queue, i % 3 == 2 ? READY_FRONT : READY_NEW, &entry, 1, on_said,
			   &said[i]);
	}
	rig_until(&rig, &said[5].done);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:q:1"), ==, 4);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:f:1"), ==, 2);
	close_rig();
}

/* Two nodes accept 5 and 6; the push of 5 comes second. */
static void
a_push_that_was_overtaken_is_served_in_ledger_order(void)
{
	open_rig();
	check_int(push_run(&rig, READY_NEW, 1, 6, 6).code, ==, SL_OK);
	check_int(push_run(&rig, READY_NEW, 1, 5, 5).code, ==, SL_OK);
	check_int(push_run(&rig, READY_NEW, 1, 7, 7).code, ==, SL_OK);
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	exchange(&rig, A, 1, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check_int(turn(0)->count, ==, 1);
	check_int(turn(0)->seqs[0], ==, 5);
	close_rig();
}

static void
what_waits_behind_a_call_is_bounded(void)
{
	enum { PUSHES = 80, SIZE = 1000 * 1000 };
	struct said *said = sl_calloc(PUSHES, sizeof(*said));
	char *bytes = sl_alloc(SIZE);
	struct ready_entry entry = {.key_id = 1, .envelope = {bytes, SIZE}};
	int good = 0, refused = 0;

	open_rig();
	memset(bytes, '0', SIZE);
	for (int i = 0; i < PUSHES; i++)
		ready_push(rig.queue, READY_NEW, &entry, 1, on_said, &said[i]);
	for (int i = 0; i < PUSHES; i++) {
		rig_until(&rig, &said[i].done);
		good += said[i].code == SL_OK;
		refused += said[i].code == SL_UNAVAILABLE;
	}
	check_int(good, ==, 67); /* 64 MiB */
	check_int(refused, ==, PUSHES - 67);
	check(strstr(said[PUSHES - 1].text, "Redis is behind") != NULL);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:q:1"), ==, 67);
	check_int(push_run(&rig, READY_NEW, 2, 1, 1).code, ==, SL_OK);
	free(bytes);
	free(said);
	close_rig();
}

/* ---- questions ---- */

static int64_t
position(int64_t key, int64_t seq)
{
	struct said said = {0};

	ready_position(rig.queue, key, seq, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
	return said.value;
}

static int64_t
depth(int64_t key)
{
	return raw_int(&rig, "LLEN sluice:{s00}:q:%lld", (long long)key) +
	       raw_int(&rig, "LLEN sluice:{s00}:f:%lld", (long long)key);
}

static void
position_counts_both_lanes(void)
{
	static const int64_t news[] = {10, 12, 11, 20}, late[] = {15, 5};

	open_rig();
	check_int(depth(1), ==, 0);
	check_int(position(1, 10), ==, -1);
	push_seqs(&rig, READY_NEW, 1, news, 4);
	push_seqs(&rig, READY_FRONT, 1, late, 2);
	check_int(depth(1), ==, 6);
	check_int(position(1, 5), ==, 0);
	check_int(position(1, 10), ==, 1);
	check_int(position(1, 11), ==, 2);
	check_int(position(1, 12), ==, 3);
	check_int(position(1, 15), ==, 4);
	check_int(position(1, 20), ==, 5);
	check_int(position(1, 16), ==, -1);
	check_int(position(2, 10), ==, -1);
	close_rig();
}

static void
position_in_ten_thousand(void)
{
	int64_t start_ms;

	open_rig();
	for (int i = 0; i < 20; i++)
		check_int(push_run(&rig, READY_NEW, 1, 2 * i * 500, 2 * i * 500 + 499).code, ==,
			  SL_OK);
	check_int(depth(1), ==, 10000);
	start_ms = clock_mono_ms();
	for (int i = 0; i < 20; i++) {
		check_int(position(1, 2 * i * 500 + 77), ==, i * 500 + 77);
		check_int(position(1, 2 * i * 500 + 777), ==, -1); /* in a gap */
	}
	check_int(position(1, 0), ==, 0);
	check_int(position(1, 19499), ==, 9999);
	printf("# 42 positions in 10,000 entries: %lld ms\n",
	       (long long)(clock_mono_ms() - start_ms));
	close_rig();
}

struct missed {
	bool done;
	enum sl_code code;
	int count;
	bool missing[READY_MISSING_MAX];
};

static void
on_missed(void *arg, enum sl_code code, const enum ready_place *places, int count)
{
	struct missed *missed = arg;

	missed->done = true;
	missed->code = code;
	missed->count = count;
	for (int i = 0; i < count; i++)
		missed->missing[i] = places[i] == READY_MISSING;
}

static void
missing_names_what_is_in_neither_list(void)
{
	static const int64_t asked[] = {1, 5, 6, 7, 100, 4999, 5000, 9001};
	static const bool small[] = {false, true, false, false, true, true, true, true};
	static const bool large[] = {false, true, false, false, false, false, true, false};
	static const int64_t late[] = {9001, 7};
	struct missed missed = {0};

	open_rig();
	push_run(&rig, READY_NEW, 1, 1, 4);
	push_run(&rig, READY_NEW, 1, 6, 6);
	push_seqs(&rig, READY_FRONT, 1, late + 1, 1);
	ready_missing(rig.queue, 1, asked, 8, on_missed, &missed);
	rig_until(&rig, &missed.done);
	check_int(missed.code, ==, SL_OK);
	check_int(missed.count, ==, 8);
	check(memcmp(missed.missing, small, sizeof(small)) == 0);
	push_run(&rig, READY_NEW, 1, 8, 4999); /* long enough to be searched */
	push_seqs(&rig, READY_FRONT, 1, late, 1);
	missed = (struct missed){0};
	ready_missing(rig.queue, 1, asked, 8, on_missed, &missed);
	rig_until(&rig, &missed.done);
	check(memcmp(missed.missing, large, sizeof(large)) == 0);
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
	CHECK_RUN(pushes_meanwhile_share_a_script_call);
	CHECK_RUN(a_large_push_is_split_and_answered_once);
	CHECK_RUN(large_envelopes_are_split_by_bytes);
	CHECK_RUN(a_push_that_was_overtaken_is_served_in_ledger_order);
	CHECK_RUN(what_waits_behind_a_call_is_bounded);
	CHECK_RUN(lanes_are_not_mixed_in_a_call);
	CHECK_RUN(position_counts_both_lanes);
	CHECK_RUN(position_in_ten_thousand);
	CHECK_RUN(missing_names_what_is_in_neither_list);
	return check_done();
}
