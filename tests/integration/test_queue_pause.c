/* queue/ against a real Redis: lines that are paused (a limit of 0), and what an overview tells.
 * SLUICE_TEST_REDIS names the server (a URL or a socket's path); it is emptied.  77: not set. */
#include "tests/integration/queue_rig.h"

#include "base/envelope.h"
#include "queue/overview.h"

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

static long long
is_lined_up(int64_t key)
{
	return raw_int(&rig, "ZSCORE sluice:{s00}:ready %lld", (long long)key);
}

/* ---- paused ---- */

static void
a_paused_line_gets_no_turn_and_others_go_past_it(void)
{
	open_rig();
	push_run(&rig, READY_NEW, 1, 1, 3);
	limit(1, 0);
	push_run(&rig, READY_NEW, 2, 4, 5);
	push_run(&rig, READY_NEW, 1, 6, 6);
	exchange(&rig, A, 1, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check_int(turn(0)->key, ==, 2);
	exchange(&rig, B, 4, 8, NULL, 0, &other);
	check_int(other.count, ==, 0);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:q:1"), ==, 4);
	check_int(is_lined_up(1), <, 0);
	close_rig();
}

/* Clean or not: it is not kept, its token is left, and nobody gets it. */
static void
a_line_paused_while_it_runs_is_handed_in_and_not_kept(void)
{
	for (int clean = 0; clean < 2; clean++) {
		struct lease_hand last;

		open_rig();
		push_run(&rig, READY_NEW, 1, 1, 20);
		exchange(&rig, A, 1, 8, NULL, 0, &taken);
		limit(1, 0);
		last = hand_of(turn(0), 7, 3);
		last.clean = clean;
		exchange(&rig, A, 4, 8, &last, 1, &taken);
		check_int(taken.count, ==, 0);
		check_int(raw_int(&rig, "LLEN sluice:{s00}:q:1"), ==, 17);
		check_int(is_lined_up(1), <, 0);
		check_int(raw_int(&rig, "LLEN sluice:{s00}:wake") <= 1, ==, 1);
		exchange(&rig, B, 4, 8, NULL, 0, &other);
		check_int(other.count, ==, 0);
		limit(1, 1);
		exchange(&rig, B, 1, 8, NULL, 0, &taken);
		check_int(turn(0)->seqs[0], ==, 4);
		check_int(turn(0)->tenure, ==, clean ? 7 : -1);
		close_rig();
	}
}

static void
what_is_pushed_to_a_paused_line_waits_and_nobody_spins(void)
{
	long long before;

	open_rig();
	limit(1, 0);
	for (int64_t seq = 1; seq <= 50; seq++)
		push_run(&rig, READY_NEW, 1, seq, seq);
	push_run(&rig, READY_FRONT, 1, 51, 51);
	exchange(&rig, A, 4, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 0);
	check_int(is_lined_up(1), <, 0);
	before = raw_int(&rig, "LLEN sluice:{s00}:wake");
	exchange(&rig, A, 4, 8, NULL, 0, &taken);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:wake"), ==, before);
	close_rig();
}

static void
a_line_goes_on_in_order_once_it_is_resumed(void)
{
	struct lease_hand last;

	open_rig();
	push_run(&rig, READY_NEW, 1, 1, 4);
	limit(1, 0);
	exchange(&rig, A, 4, 8, NULL, 0, &taken); /* out of the line it goes */
	push_run(&rig, READY_NEW, 1, 7, 9);
	push_run(&rig, READY_FRONT, 1, 5, 6);
	exchange(&rig, A, 4, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 0);
	limit(1, 1);
	exchange(&rig, A, 4, 8, NULL, 0, &taken);
	for (int64_t next = 1; next <= 9;) {
		for (int i = 0; i < turn(0)->count; i++)
			check_int(turn(0)->seqs[i], ==, next++);
		last = hand_of(turn(0), 1, turn(0)->count);
		exchange(&rig, A, next <= 9 ? 4 : 0, 8, &last, 1, &taken);
	}
	close_rig();
}

static void
the_slots_of_a_paused_line_go_free_and_keep_what_they_had(void)
{
	struct lease_hand hands[3];

	open_rig();
	limit(1, 3);
	push_run(&rig, READY_NEW, 1, 1, 12);
	exchange(&rig, A, 3, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 3);
	limit(1, 0);
	for (int i = 0; i < 3; i++)
		hands[i] = hand_of(turn(i), 10 + i, 1);
	exchange(&rig, A, 6, 8, hands, 3, &taken);
	check_int(taken.count, ==, 0);
	exchange(&rig, B, 6, 8, NULL, 0, &other);
	check_int(other.count, ==, 0);
	check_int(environment_depth(&rig, 101), ==, 9);
	limit(1, 3);
	exchange(&rig, B, 3, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 3);
	check_int(turn(0)->seqs[0], ==, 2); /* what its slot had left */
	close_rig();
}

static void
a_paused_line_of_a_lost_worker_is_not_given_to_another(void)
{
	open_rig();
	push_run(&rig, READY_NEW, 1, 1, 4);
	exchange(&rig, A, 1, 8, NULL, 0, &taken);
	limit(1, 0);
	check_int(expire(&rig, A).value, ==, 1);
	exchange(&rig, B, 4, 8, NULL, 0, &other);
	check_int(other.count, ==, 0);
	limit(1, 1);
	exchange(&rig, B, 4, 8, NULL, 0, &taken);
	check_int(turn(0)->seqs[0], ==, 1);
	close_rig();
}

static void
on_missing(void *arg, enum sl_code code, const enum ready_place *places, int count)
{
	bool *done = arg;

	check_int(code, ==, SL_OK);
	check_int(count, ==, 1);
	check_int(places[0], !=, READY_MISSING);
	*done = true;
}

static void
a_sweep_does_not_line_a_paused_line_up(void)
{
	const int64_t seq = 2;
	bool done = false;

	open_rig();
	push_run(&rig, READY_NEW, 1, 1, 4);
	limit(1, 0);
	exchange(&rig, A, 4, 8, NULL, 0, &taken);
	ready_missing(rig.queue, 1, &seq, 1, on_missing, &done);
	rig_until(&rig, &done);
	check_int(is_lined_up(1), <, 0);
	close_rig();
}

static void
a_pause_outlives_a_rebuild(void)
{
	const struct ready_limit paused = {1, 0};
	struct said said = {0};

	open_rig();
	limit(1, 0);
	raw_int(&rig, "FLUSHALL");
	queue_rebuild_begin(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	push_run(&rig, READY_NEW, 1, 1, 4);
	check_int(set_limits(&rig, &paused, 1).code, ==, SL_OK);
	said = (struct said){0};
	queue_rebuild_end(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	exchange(&rig, A, 4, 8, NULL, 0, &taken);
	check_int(taken.code, ==, SL_OK);
	check_int(taken.count, ==, 0);
	limit(1, 1);
	exchange(&rig, A, 4, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	close_rig();
}

/* ---- overview ---- */

struct seen {
	bool done;
	enum sl_code code;
	int count;
	struct overview_environment environments[4];
	struct overview_line lines[4][8];
};

static void
on_overview(void *arg, enum sl_code code, const struct overview_environment *environments,
	    int count, const struct sl_error *error)
{
	struct seen *seen = arg;

	(void)error;
	seen->done = true;
	seen->code = code;
	seen->count = count;
	for (int i = 0; i < count; i++) {
		check(i < 4);
		seen->environments[i] = environments[i];
		for (int line = 0; line < environments[i].line_count && line < 8; line++)
			seen->lines[i][line] = environments[i].line[line];
	}
}

static struct seen
overview(const int64_t *ids, int count)
{
	struct seen seen = {0};

	queue_overview(rig.queue, ids, count, on_overview, &seen);
	rig_until(&rig, &seen.done);
	return seen;
}

static void
push_aged(int64_t key, int64_t seq, int64_t age_ms, enum ready_lane lane)
{
	static const uint8_t secret[32] = {1};
	struct envelope envelope = {.seq = seq,
				    .environment_id = rig_environment(key),
				    .key_id = key,
				    .attempt = 1,
				    .kind = JOB_ACTION,
				    .accepted_ms = clock_wall_ms() - age_ms};
	struct ready_entry entry = {.key_id = key, .environment_id = envelope.environment_id};
	struct said said = {0};
	struct buf bytes;

	uuid_v7(envelope.job_id);
	buf_init(&bytes, 4096);
	envelope_encode(&envelope, secret, &bytes);
	entry.envelope = buf_slice(&bytes);
	ready_push(rig.queue, lane, &entry, 1, on_said, &said);
	buf_fini(&bytes);
	rig_until(&rig, &said.done);
}

static void
is_near(int64_t value, int64_t wanted)
{
	check(value >= wanted - 50 && value < wanted + 5000);
}

static void
an_overview_tells_depth_age_and_what_runs(void)
{
	const int64_t one = 101;
	struct lease_hand last;
	struct seen seen;

	open_rig();
	check_int(overview(NULL, 0).count, ==, 0);
	push_aged(1, 1, 60000, READY_NEW);
	push_aged(1, 2, 50000, READY_NEW);
	push_aged(1, 3, 40000, READY_FRONT);
	push_aged(4, 4, 10000, READY_NEW); /* of environment 101 as well */
	push_aged(2, 5, 99000, READY_NEW);
	seen = overview(&one, 1);
	check_int(seen.code, ==, SL_OK);
	check_int(seen.count, ==, 1);
	check_int(seen.environments[0].depth, ==, 4);
	check_int(seen.environments[0].lines, ==, 2);
	check_int(seen.environments[0].line_count, ==, 2);
	check_int(seen.environments[0].running, ==, 0);
	check_int(seen.environments[0].lanes[OVERVIEW_NEW].depth, ==, 3);
	check_int(seen.environments[0].lanes[OVERVIEW_FRONT].depth, ==, 1);
	is_near(seen.environments[0].oldest_ms, 60000);
	is_near(seen.environments[0].lanes[OVERVIEW_FRONT].oldest_ms, 40000);
	check_int(seen.environments[0].lanes[OVERVIEW_SLOT].oldest_ms, ==, -1);
	exchange(&rig, A, 1, 8, NULL, 0, &taken);
	seen = overview(&one, 1);
	check_int(seen.environments[0].running, ==, 1);
	is_near(seen.environments[0].oldest_ms, 50000); /* the head runs */
	last = hand_of(turn(0), 1, 1);
	limit(4, 2);
	exchange(&rig, A, 3, 8, &last, 1, &taken);
	seen = overview(NULL, 0);
	check_int(seen.count, ==, 2);
	check_int(seen.environments[0].depth + seen.environments[1].depth, ==, 4);
	check_int(seen.environments[0].running + seen.environments[1].running, ==, 3);
	close_rig();
}

static void
an_overview_looks_at_some_lines_of_many_and_survives_what_is_no_entry(void)
{
	const int64_t all[] = {100, 101, 102};
	struct seen seen;
	int looked = 0;

	open_rig();
	for (int64_t key = 1; key <= 1500; key++)
		push_run(&rig, READY_NEW, key, key, key); /* no envelopes: they have no age */
	raw_int(&rig, "DEL sluice:{s00}:q:3");
	raw_int(&rig, "SET sluice:{s00}:q:3 x");
	seen = overview(all, 3);
	check_int(seen.code, ==, SL_OK);
	check_int(seen.count, ==, 3);
	for (int i = 0; i < 3; i++) {
		check_int(seen.environments[i].depth, ==, 500);
		check_int(seen.environments[i].lines, ==, 500);
		check_int(seen.environments[i].oldest_ms, ==, -1);
		looked += seen.environments[i].line_count;
	}
	check_int(looked, ==, OVERVIEW_LINES_MAX);
	raw_int(&rig, "DEL sluice:{s00}:epoch");
	check_int(overview(all, 3).code, ==, SL_CONFLICT);
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
	CHECK_RUN(a_paused_line_gets_no_turn_and_others_go_past_it);
	CHECK_RUN(a_line_paused_while_it_runs_is_handed_in_and_not_kept);
	CHECK_RUN(what_is_pushed_to_a_paused_line_waits_and_nobody_spins);
	CHECK_RUN(a_line_goes_on_in_order_once_it_is_resumed);
	CHECK_RUN(the_slots_of_a_paused_line_go_free_and_keep_what_they_had);
	CHECK_RUN(a_paused_line_of_a_lost_worker_is_not_given_to_another);
	CHECK_RUN(a_sweep_does_not_line_a_paused_line_up);
	CHECK_RUN(a_pause_outlives_a_rebuild);
	CHECK_RUN(an_overview_tells_depth_age_and_what_runs);
	CHECK_RUN(an_overview_looks_at_some_lines_of_many_and_survives_what_is_no_entry);
	return check_done();
}
