/* Windows of providers in Redis: who may go, what an answer teaches, and what is forgotten.  The provider of these
 * tests is strict: so many in a window that its first request begins. */
#include "queue/gate.h"
#include "tests/integration/queue_rig.h"

static struct rig rig;
static const struct queue_gate gate = {
    .environment_id = 1, .integration_id = 7, .connection_id = 42, .per_app = false};
static const struct queue_gate app = {
    .environment_id = 1, .integration_id = 7, .connection_id = 42, .per_app = true};
static int named;

struct asked {
	bool done;
	enum sl_code code;
	struct queue_gate_answer answer;
	char names[QUEUE_GATE_ASK_MAX][QUEUE_GATE_NAME_SIZE];
};

static void
on_asked(void *arg, enum sl_code code, const struct queue_gate_answer *answer)
{
	struct asked *asked = arg;

	asked->done = true;
	asked->code = code;
	if (answer != NULL)
		asked->answer = *answer;
}

static void
ask_of(const struct queue_gate *of, int count, struct asked *out)
{
	*out = (struct asked){0};
	for (int i = 0; i < count; i++)
		snprintf(out->names[i], sizeof(out->names[i]), "t%d", ++named);
	queue_gate_ask(rig.queue, of, (const char(*)[QUEUE_GATE_NAME_SIZE])out->names, count,
		       on_asked, out);
	rig_until(&rig, &out->done);
	check_int(out->code, ==, SL_OK);
}

static int
ask(int count, struct asked *out)
{
	ask_of(&gate, count, out);
	return out->answer.granted;
}

struct told {
	bool done, by_this;
	enum sl_code code;
	int64_t closed_ms;
};

static void
on_told(void *arg, enum sl_code code, int64_t closed_ms, bool by_this)
{
	struct told *told = arg;

	*told = (struct told){true, by_this, code, closed_ms};
}

static struct told
tell_of(const struct queue_gate *of, struct queue_gate_news news)
{
	struct told told = {0};

	queue_gate_tell(rig.queue, of, &news, on_told, &told);
	rig_until(&rig, &told.done);
	check_int(told.code, ==, SL_OK);
	return told;
}

static struct queue_gate_news
good(const struct asked *asked, int at)
{
	return (struct queue_gate_news){.pass = asked->names[at],
					.gone_ms = asked->answer.now_ms,
					.answered = true,
					.closed_ms = -1,
					.remaining = -1,
					.reset_ms = -1,
					.limit = -1};
}

static struct told
tell_good(const struct asked *asked, int at)
{
	return tell_of(&gate, good(asked, at));
}

static struct told
tell_limited(const struct asked *asked, int at, int64_t closed_ms)
{
	struct queue_gate_news news = good(asked, at);

	news.limited = true;
	news.closed_ms = closed_ms;
	return tell_of(&gate, news);
}

static struct told
tell_remaining(const struct asked *asked, int at, int64_t remaining, int64_t reset_ms,
	       int64_t limit)
{
	struct queue_gate_news news = good(asked, at);

	news.remaining = remaining;
	news.reset_ms = reset_ms;
	news.limit = limit;
	return tell_of(&gate, news);
}

static void
nothing_known_lets_all_go_and_writes_nothing(void)
{
	struct asked asked;

	rig_open(&rig, rig_url());
	long long keys = raw_int(&rig, "DBSIZE");

	check_int(ask(50, &asked), ==, 50);
	check(!asked.answer.counted);
	check_int(asked.answer.now_ms, >, 0);
	check_int(tell_good(&asked, 0).closed_ms, ==, 0);
	check_int(raw_int(&rig, "DBSIZE"), ==, keys);
	rig_close(&rig);
}

static void
a_refusal_closes_and_the_strictest_wins(void)
{
	struct asked asked, later;
	struct told told;

	rig_open(&rig, rig_url());
	ask(5, &asked);
	told = tell_limited(&asked, 0, 5000);
	check(told.by_this && told.closed_ms > 4900 && told.closed_ms <= 5000);
	told = tell_limited(&asked, 1, 1000); /* an earlier moment opens nothing */
	check(!told.by_this && told.closed_ms > 4900);
	told = tell_limited(&asked, 2, 9000);
	check(!told.by_this && told.closed_ms > 8900);
	check_int(tell_good(&asked, 3).closed_ms, >, 8800);
	check_int(ask(3, &later), ==, 0);
	check(later.answer.closed_ms > 8800 && later.answer.wait_ms == later.answer.closed_ms);
	ask_of(&app, 3, &later); /* the integration's window is another one */
	check_int(later.answer.granted, ==, 3);
	rig_close(&rig);
}

static void
refusals_that_say_nothing_close_for_longer_each_time(void)
{
	static const int64_t wanted[] = {3000, 6000, 12000, 24000};
	struct asked first, asked;

	rig_open(&rig, rig_url());
	ask(3, &first);
	for (int i = 0; i < 4; i++) {
		int64_t closed_ms;

		if (i > 0) {
			raw_int(&rig, "HSET sluice:{s00}:gate:c42 until 1");
			rig_sleep(2); /* behind the moment of the refusal */
		}
		check_int(ask(1, &asked), ==, 1);
		closed_ms = tell_limited(&asked, 0, -1).closed_ms;
		check(closed_ms > wanted[i] - 200 && closed_ms <= wanted[i]);
		if (i == 0) /* those that were out with it say the same thing again */
			check_int(tell_limited(&first, 1, -1).closed_ms, <=, 3000);
	}
	raw_int(&rig, "HSET sluice:{s00}:gate:c42 until 1 strikes 40");
	rig_sleep(2);
	check_int(ask(1, &asked), ==, 1);
	check_int(tell_limited(&asked, 0, -1).closed_ms, <=, 600000);
	raw_int(&rig, "HSET sluice:{s00}:gate:c42 until 1");
	rig_sleep(2);
	check_int(ask(1, &asked), ==, 1);
	tell_good(&asked, 0);
	check_int(ask(1, &asked), ==, 1);
	check_int(tell_limited(&asked, 0, -1).closed_ms, <=,
		  3000); /* a good one between forgives */
	rig_close(&rig);
}

static void
what_remains_is_shared_by_all_that_are_out(void)
{
	struct asked asked, more;

	rig_open(&rig, rig_url());
	check_int(ask(1, &asked), ==, 1);
	tell_remaining(&asked, 0, 9, 5000, 10);
	check_int(ask(6, &asked), ==, 6);
	check(asked.answer.counted);
	check_int(ask(6, &more), ==, 3); /* 9, and 6 are out */
	check_int(more.answer.wait_ms, <=, 100);
	check_int(ask(1, &more), ==, 0);
	tell_remaining(&asked, 0, 5, 5000, 10); /* of four that went; five others are on the way */
	check_int(ask(1, &more), ==, 0);
	for (int i = 1; i < 6; i++)
		tell_remaining(&asked, i, 5 - i > 0 ? 5 - i : 0, 5000, 10);
	check_int(ask(1, &more), ==, 0);
	check(more.answer.closed_ms > 4000 && more.answer.closed_ms <= 5000);
	raw_int(
	    &rig,
	    "HSET sluice:{s00}:gate:c42 reset 1"); /* the reset comes: a whole window, but for those out */
	check_int(ask(20, &more), ==, 7);
	rig_close(&rig);
}

static void
an_exhausted_window_closes_before_anything_is_refused(void)
{
	struct asked asked;
	struct told told;

	rig_open(&rig, rig_url());
	check_int(ask(1, &asked), ==, 1);
	told = tell_remaining(&asked, 0, 0, 400, -1);
	check(told.by_this && told.closed_ms > 300 && told.closed_ms <= 400);
	check_int(ask(1, &asked), ==, 0);
	check_int(asked.answer.wait_ms, <=, 400);
	rig_sleep((int)asked.answer.wait_ms);
	check_int(ask(9, &asked), ==, 1); /* nobody said how many fit: one tries */
	rig_close(&rig);
}

static void
those_of_a_lost_node_fall_away(void)
{
	struct asked asked;

	rig_open(&rig, rig_url());
	check_int(ask(1, &asked), ==, 1);
	tell_remaining(&asked, 0, 5, 60000, -1);
	check_int(ask(5, &asked), ==, 5);
	check_int(ask(1, &asked), ==, 0);
	for (int i = 0; i < 5; i++)
		raw_int(&rig, "ZADD sluice:{s00}:gate:c42:out XX 1 t%d", named - 1 - i);
	check_int(ask(9, &asked), ==, 5);
	/* Those that went well before the reset are of the window that is over. */
	for (int i = 0; i < 5; i++)
		raw_int(&rig, "ZINCRBY sluice:{s00}:gate:c42:out -3000 %s", asked.names[i]);
	raw_int(&rig, "HSET sluice:{s00}:gate:c42 limit 6 reset %lld",
		(long long)asked.answer.now_ms - 1);
	check_int(ask(9, &asked), ==, 6);
	rig_close(&rig);
}

static void
those_out_before_anybody_counted_are_counted(void)
{
	struct asked asked, more;
	struct queue_gate_news news;

	rig_open(&rig, rig_url());
	check_int(ask(4, &asked), ==, 4);
	news = good(&asked, 0);
	news.remaining = 5;
	news.reset_ms = 5000;
	news.others = (const char(*)[QUEUE_GATE_NAME_SIZE])asked.names + 1;
	news.other_count = 3;
	tell_of(&gate, news);
	check_int(ask(9, &more), ==, 2);
	rig_close(&rig);
}

/* ---- a provider that says nothing but "not now" ------------------------------------------------ */

struct provider {
	int count;
	int64_t window_ms, start_ms, used;
};

/* -1: fine; else the ms until its window opens. */
static int64_t
provider_take(struct provider *provider)
{
	int64_t now_ms = clock_mono_ms();

	if (now_ms >= provider->start_ms + provider->window_ms) {
		provider->start_ms = now_ms;
		provider->used = 0;
	}
	if (provider->used++ < provider->count)
		return -1;
	return provider->start_ms + provider->window_ms - now_ms + 1;
}

static void
the_size_of_a_window_is_learnt_from_one_refusal(void)
{
	struct provider provider = {.count = 10, .window_ms = 200, .start_ms = -1000};
	int64_t began_ms = clock_mono_ms();
	int done = 0, refused = 0, asks = 0;
	struct asked asked;

	rig_open(&rig, rig_url());
	while (done < 100 && asks < 2000) {
		int want = 100 - done < 20 ? 100 - done : 20, granted = ask(want, &asked);

		asks++;
		for (int i = 0; i < granted; i++) {
			int64_t wait_ms = provider_take(&provider);

			if (wait_ms < 0) {
				done++;
				tell_good(&asked, i);
			} else {
				refused++;
				tell_limited(&asked, i, wait_ms);
			}
		}
		if (granted == 0)
			rig_sleep((int)asked.answer.wait_ms);
	}
	check_int(done, ==, 100);
	check_int(refused, <=, 13); /* ten of the first burst, and those by which it was learnt */
	check_int(clock_mono_ms() - began_ms, <, 9 * 200 * 115 / 100);
	check_int(clock_mono_ms() - began_ms, >=, 9 * 200);
	printf("# %d refused, %d asks, %lld ms\n", refused, asks,
	       (long long)(clock_mono_ms() - began_ms));
	rig_close(&rig);
}

static void
a_window_that_grew_is_found_in_time(void)
{
	struct asked asked;

	rig_open(&rig, rig_url());
	check_int(ask(1, &asked), ==, 1);
	tell_limited(&asked, 0, 1);
	raw_int(&rig,
		"HSET sluice:{s00}:gate:c42 until 1 cap 10 len 5 start 1 first 1 out 10 clean 7");
	check_int(ask(20, &asked), ==, 11);
	for (int i = 0; i < 11; i++)
		tell_good(&asked, i);
	rig_sleep(10);
	check_int(ask(20, &asked), ==, 12);
	rig_close(&rig);
}

/* ---- what is seen of it ------------------------------------------------------------------------ */

struct listed {
	bool done;
	int count;
	struct queue_gate_window rows[8];
};

static void
on_listed(void *arg, enum sl_code code, const struct queue_gate_window *rows, int count,
	  const struct sl_error *error)
{
	struct listed *listed = arg;

	(void)error;
	check_int(code, ==, SL_OK);
	check_int(count, <=, 8);
	listed->done = true;
	listed->count = count;
	for (int i = 0; i < count; i++)
		listed->rows[i] = rows[i];
}

static struct listed
list(void)
{
	struct listed listed = {0};

	queue_gate_list(rig.queue, on_listed, &listed);
	rig_until(&rig, &listed.done);
	return listed;
}

static int64_t
clear(int64_t integration_id, int64_t connection_id)
{
	struct said said = {0};

	queue_gate_clear(rig.queue, integration_id, connection_id, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
	return said.value;
}

static void
windows_are_listed_outlive_a_rebuild_and_are_forgotten_when_told(void)
{
	struct queue_gate other = gate;
	struct asked asked;
	struct listed seen;

	rig_open(&rig, rig_url());
	other.connection_id = 43;
	ask(1, &asked);
	tell_limited(&asked, 0, 30000);
	ask_of(&other, 2, &asked);
	struct queue_gate_news news = good(&asked, 0);
	news.remaining = 4;
	news.reset_ms = 60000;
	news.limit = 5;
	tell_of(&other, news);
	ask_of(&app, 1, &asked);
	news = good(&asked, 0);
	news.limited = true;
	tell_of(&app, news);
	check_int(rig_rebuild(&rig), ==, SL_OK);
	seen = list();
	check_int(seen.count, ==, 3);
	for (int i = 0; i < 3; i++) {
		const struct queue_gate_window *row = &seen.rows[i];

		check_int(row->gate.environment_id, ==, 1);
		check_int(row->gate.integration_id, ==, 7);
		if (row->gate.per_app) {
			check_text(row->by, "none");
			check(row->closed_ms > 2000);
		} else if (row->gate.connection_id == 42) {
			check_text(row->by, "told");
			check(row->closed_ms > 29000 && row->remaining == -1);
		} else {
			check_int(row->closed_ms, ==, 0);
			check_int(row->remaining, ==, 4);
			check_int(row->fits, ==, 5);
			check(row->reset_ms > 59000);
		}
	}
	check_int(clear(8, 0), ==, 0);
	check_int(clear(7, 42), ==, 1);
	check_int(list().count, ==, 2);
	check_int(ask(1, &asked), ==, 1);
	check_int(clear(7, 0), ==, 2);
	check_int(list().count, ==, 0);
	check_int(clear(7, 0), ==, 0); /* only that it was cleared is known of it */
	ask_of(&gate, 50, &asked);
	check(asked.answer.granted == 50 && asked.answer.counted);
	tell_limited(&asked, 0, 1000);
	check_int(list().count, ==, 1);
	rig_close(&rig);
}

int
main(void)
{
	if (rig_url() == NULL) {
		printf("1..0 # SKIP SLUICE_TEST_REDIS is not set\n");
		return 77;
	}
	CHECK_RUN(nothing_known_lets_all_go_and_writes_nothing);
	CHECK_RUN(a_refusal_closes_and_the_strictest_wins);
	CHECK_RUN(refusals_that_say_nothing_close_for_longer_each_time);
	CHECK_RUN(what_remains_is_shared_by_all_that_are_out);
	CHECK_RUN(an_exhausted_window_closes_before_anything_is_refused);
	CHECK_RUN(those_of_a_lost_node_fall_away);
	CHECK_RUN(those_out_before_anybody_counted_are_counted);
	CHECK_RUN(the_size_of_a_window_is_learnt_from_one_refusal);
	CHECK_RUN(a_window_that_grew_is_found_in_time);
	CHECK_RUN(windows_are_listed_outlive_a_rebuild_and_are_forgotten_when_told);
	return check_done();
}
