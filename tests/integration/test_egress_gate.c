/* The 429 gate of several nodes (queues and gates of their own, one Redis) in front of providers that are strict: so
 * many in a window that its first request begins, then refusals. */
#include "daemon/egress/gate.h"

#include "queue/gate.h"
#include "tests/integration/queue_rig.h"

#define NODES 4
#define PLACES 10
#define SLACK_MS 50

struct strict {
	int count, latency_ms;
	int64_t window_ms;
	bool tells_remaining;
	int64_t start_ms, used;
	int64_t told_ms, told_at_ms; /* a refusal said that it opens then; when it was heard of */
	int refused, late, good;
};

struct node {
	struct daemon daemon;
	struct gates *gates;
};

struct request {
	struct node *node;
	struct strict *provider;
	struct gate_place place;
	struct gate_pass *pass;
	struct loop_timer *timer; /* the answer is on its way */
	struct limit_news news;
	int refused_by_gate, waits;
	bool done, hold, is_out;
};

static struct loop *loop;
static struct node nodes[NODES];
static int open_requests;

static void request_try(struct request *request);

static struct limit_news
nothing(void)
{
	return (struct limit_news){.closed_ms = -1, .remaining = -1, .reset_ms = -1, .limit = -1};
}

static void
provider_take(struct strict *provider, struct limit_news *news)
{
	int64_t now_ms = clock_mono_ms();

	*news = nothing();
	if (now_ms < provider->told_ms && now_ms > provider->told_at_ms + SLACK_MS)
		provider->late++;
	if (now_ms >= provider->start_ms + provider->window_ms) {
		provider->start_ms = now_ms;
		provider->used = 0;
	}
	news->limited = provider->used >= provider->count;
	if (provider->tells_remaining) {
		news->remaining = news->limited ? 0 : provider->count - provider->used - 1;
		news->reset_ms = provider->start_ms + provider->window_ms - now_ms + 1;
		news->limit = provider->count;
	}
	if (!news->limited) {
		provider->used++;
		provider->good++;
		return;
	}
	provider->refused++;
	news->closed_ms = provider->start_ms + provider->window_ms - now_ms + 1;
	provider->told_ms = provider->start_ms + provider->window_ms;
	if (provider->told_at_ms < provider->start_ms)
		provider->told_at_ms = now_ms;
}

static void
on_answer(void *arg)
{
	struct request *request = arg;
	bool again = request->news.limited;

	request->is_out = false;
	gate_leave(request->pass, &request->news);
	request->pass = NULL;
	if (again) {
		request_try(request);
		return;
	}
	request->done = true;
	open_requests--;
}

static void
on_gate(void *arg, bool allowed, int64_t waited_ms)
{
	struct request *request = arg;

	check_int(waited_ms, >=, 0);
	if (!allowed) {
		request->refused_by_gate++;
		request->pass = NULL;
		request->done = true;
		open_requests--;
		return;
	}
	request->is_out = true;
	if (request->provider == NULL || request->hold)
		return;
	provider_take(request->provider, &request->news);
	loop_timer_in(request->timer, request->provider->latency_ms);
}

static void
on_wait(void *arg, int64_t wait_ms)
{
	struct request *request = arg;

	check_int(wait_ms, >=, 0);
	request->waits++;
}

static int64_t give_up_ms = INT64_MAX;

static void
request_try(struct request *request)
{
	request->pass = gate_enter(request->node->gates, &request->place, give_up_ms, on_wait,
				   on_gate, request);
}

static void
request_init(struct request *request, int node, int connection, struct strict *provider)
{
	*request = (struct request){
	    .node = &nodes[node],
	    .provider = provider,
	    .place = {.environment_id = 1, .connection_id = connection, .integration_id = 7}};
	request->timer = loop_timer_new(loop, on_answer, request);
	request->news = nothing();
	open_requests++;
	request_try(request);
}

static void
on_state(void *arg, bool up)
{
	gates_store_changed(((struct node *)arg)->gates, up);
}

static void
open_nodes(const char *url, bool flush)
{
	const struct queue_settings settings = {.url = url, .shards = 1, .timeout_ms = 500};
	redisContext *raw = flush ? raw_connect(url) : NULL;

	if (raw != NULL) {
		freeReplyObject(redisCommand(raw, "FLUSHALL"));
		redisFree(raw);
	}
	loop = loop_new();
	open_requests = 0;
	give_up_ms = INT64_MAX;
	for (int i = 0; i < NODES; i++) {
		struct daemon *daemon = &nodes[i].daemon;

		*daemon = (struct daemon){.loop = loop, .shard_count = 1};
		daemon->queues = sl_calloc(1, sizeof(*daemon->queues));
		check_int(queue_new(loop, &settings, on_state, &nodes[i], &daemon->queues[0], NULL),
			  ==, SL_OK);
		nodes[i].gates = gates_new(daemon);
	}
}

static bool
all_up(bool up)
{
	for (int i = 0; i < NODES; i++)
		if (queue_is_up(nodes[i].daemon.queues[0]) != up)
			return false;
	return true;
}

static void
until_up(bool up)
{
	int64_t end_ms = clock_mono_ms() + RIG_WAIT_MS;

	while (!all_up(up) && clock_mono_ms() < end_ms)
		loop_turn(loop, 20);
	check(all_up(up));
}

static void
turn_until(const bool *flag, int64_t most_ms)
{
	int64_t end_ms = clock_mono_ms() + most_ms;

	while (!*flag && clock_mono_ms() < end_ms)
		loop_turn(loop, 5);
}

static void
turn_for(int64_t ms)
{
	static const bool never = false;

	turn_until(&never, ms);
}

static void
close_nodes(void)
{
	for (int i = 0; i < NODES; i++) {
		gates_close(nodes[i].gates);
		queue_free(nodes[i].daemon.queues[0]);
	}
	loop_turn(loop, 0);
	for (int i = 0; i < NODES; i++) {
		gates_free(nodes[i].gates);
		free(nodes[i].daemon.queues);
	}
	loop_turn(loop, 0);
	loop_free(loop);
}

static void
run_fleet(bool tells_remaining, int per_window, int64_t window_ms, int each)
{
	struct strict providers[PLACES];
	struct request *requests = sl_calloc((size_t)(PLACES * each), sizeof(*requests));
	int64_t began_ms, took_ms, optimum_ms = (each / per_window - 1) * window_ms;
	int count = PLACES * each, refused = 0, late = 0;
	struct rig look = {0};
	long long calls;

	open_nodes(rig_url(), true);
	until_up(true);
	for (int i = 0; i < PLACES; i++)
		providers[i] = (struct strict){.count = per_window,
					       .window_ms = window_ms,
					       .latency_ms = 15,
					       .start_ms = -window_ms,
					       .told_ms = -1,
					       .tells_remaining = tells_remaining};
	look.raw = raw_connect(rig_url());
	calls = script_calls(&look);
	began_ms = clock_mono_ms();
	for (int i = 0; i < count; i++)
		request_init(&requests[i], i % NODES, 1 + i / NODES % PLACES,
			     &providers[i / NODES % PLACES]);
	while (open_requests > 0 && clock_mono_ms() - began_ms < 20000)
		loop_turn(loop, 20);
	took_ms = clock_mono_ms() - began_ms;
	calls = script_calls(&look) - calls;
	redisFree(look.raw);
	for (int i = 0; i < PLACES; i++) {
		check_int(providers[i].good, ==, each);
		refused += providers[i].refused;
		late += providers[i].late;
	}
	printf(
	    "# %lld ms, optimum %lld; %d refused behind the first burst of %d; %lld calls of scripts\n",
	    (long long)took_ms, (long long)optimum_ms, refused - PLACES * (each - per_window),
	    PLACES * (each - per_window), calls);
	check_int(calls, <=, 6 * count); /* asks and tells, polls included */
	check_int(open_requests, ==, 0);
	check_int(late, ==, 0);
	check_int(refused, <=,
		  PLACES * (each - per_window + 6)); /* those that were out when it was learnt */
	check_int(took_ms, <=, optimum_ms * 115 / 100);
	for (int i = 0; i < count; i++)
		loop_timer_free(requests[i].timer);
	close_nodes();
	free(requests);
}

static void
four_nodes_obey_ten_windows_that_say_only_when_they_open(void)
{
	run_fleet(false, 10, 600, 40);
}

static void
four_nodes_share_what_remains(void)
{
	run_fleet(true, 10, 500, 40);
}

static void
a_pass_may_leave_before_it_was_let_out_and_is_refused_at_its_deadline(void)
{
	struct limit_news news = nothing();
	struct request first, second, third;

	open_nodes(rig_url(), true);
	until_up(true);
	request_init(&first, 0, 1, NULL);
	turn_until(&first.is_out, 2000);
	check(first.is_out && first.waits == 0);
	news.limited = true;
	news.closed_ms = 60000;
	gate_leave(first.pass, &news);
	check_int(gate_closed_ms(nodes[0].gates, &first.place), >, 59000);
	turn_for(20); /* Redis knows it, too */
	request_init(&second, 1, 1, NULL);
	turn_until(&second.is_out, 100);
	check(!second.is_out && second.waits == 1);
	check_int(gate_waiting(nodes[1].gates, &second.place), ==, 1);
	gate_leave(second.pass, NULL);
	check_int(gate_waiting(nodes[1].gates, &second.place), ==, 0);
	give_up_ms = clock_mono_ms() + 30000; /* it opens behind that: no use to wait */
	request_init(&third, 2, 1, NULL);
	turn_until(&third.done, 2000);
	check_int(third.refused_by_gate, ==, 1);
	loop_timer_free(first.timer);
	loop_timer_free(second.timer);
	loop_timer_free(third.timer);
	close_nodes();
}

static void
a_request_that_is_slow_to_go_asks_again(void)
{
	struct limit_news news = nothing();
	struct request slow, other;

	open_nodes(rig_url(), true);
	until_up(true);
	request_init(&slow, 0, 1, NULL);
	request_init(&other, 1, 1, NULL);
	turn_until(&slow.is_out, 2000);
	turn_until(&other.is_out, 2000);
	check(gate_confirm(slow.pass));
	news.limited = true;
	news.closed_ms = 300;
	gate_leave(other.pass, &news); /* its own node has not heard of that */
	turn_for(40);
	slow.is_out = false;
	check(!gate_confirm(slow.pass));
	turn_for(150);
	check(!slow.is_out && slow.waits == 1);
	turn_until(&slow.is_out, 400);
	check(slow.is_out && gate_confirm(slow.pass));
	gate_leave(slow.pass, NULL);
	loop_timer_free(slow.timer);
	loop_timer_free(other.timer);
	close_nodes();
}

static void
on_cleared(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)error;
	check_int(code, ==, SL_OK);
	check_int(value, ==, 1);
	*(bool *)arg = true;
}

static void
a_redis_that_lost_a_window_is_told_of_it_again(void)
{
	struct limit_news news = nothing();
	struct request first, again, later;
	struct server server = {0};

	check(server_start(&server, NULL));
	open_nodes(server.url, false);
	until_up(true);
	request_init(&first, 0, 1, NULL);
	turn_until(&first.is_out, 2000);
	news.limited = true;
	news.closed_ms = 60000;
	gate_leave(first.pass, &news);
	turn_for(250);
	server_kill(&server);
	until_up(false);
	check(server_start(&server, NULL)); /* empty */
	until_up(true);
	turn_for(250);
	request_init(&again, 0, 1, NULL);
	turn_for(100);
	check(!again.is_out);
	request_init(&later, 1, 1, NULL);
	turn_for(100);
	check(!later.is_out && gate_closed_ms(nodes[1].gates, &later.place) > 50000);
	gate_leave(again.pass, NULL);
	gate_leave(later.pass, NULL);
	loop_timer_free(first.timer);
	loop_timer_free(again.timer);
	loop_timer_free(later.timer);
	close_nodes();
	server_stop(&server);
}

static void
what_an_operator_clears_is_open_at_once_here_and_soon_elsewhere(void)
{
	struct limit_news news = nothing();
	struct request first, waits[2];
	bool cleared = false;

	open_nodes(rig_url(), true);
	until_up(true);
	request_init(&first, 0, 1, NULL);
	turn_until(&first.is_out, 2000);
	news.limited = true;
	news.closed_ms = 60000;
	gate_leave(first.pass, &news);
	request_init(&waits[0], 0, 1, NULL);
	request_init(&waits[1], 1, 1, NULL);
	turn_for(50);
	check(!waits[0].is_out && !waits[1].is_out);
	queue_gate_clear(nodes[0].daemon.queues[0], 7, 1, on_cleared, &cleared);
	turn_until(&cleared, 1000);
	gates_forget(nodes[0].gates, 7, 1);
	turn_until(&waits[0].is_out, 200);
	check(waits[0].is_out);
	turn_until(&waits[1].is_out, 5500);
	check(waits[1].is_out);
	gate_leave(waits[0].pass, NULL);
	gate_leave(waits[1].pass, NULL);
	loop_timer_free(first.timer);
	loop_timer_free(waits[0].timer);
	loop_timer_free(waits[1].timer);
	close_nodes();
}

static void
without_redis_a_node_obeys_what_it_knows_and_lets_one_out_at_a_time(void)
{
	struct server server = {0};
	struct limit_news news = nothing();
	struct request requests[4], closed, later;

	check(server_start(&server, NULL));
	open_nodes(server.url, false);
	until_up(true);
	server_kill(&server);
	until_up(false);
	for (int i = 0; i < 3; i++) {
		request_init(&requests[i], 0, 1, NULL);
		requests[i].hold = true;
	}
	request_init(&requests[3], 0, 2, NULL); /* of another connection */
	turn_until(&requests[3].is_out, 1000);
	turn_for(60);
	check(requests[3].is_out && requests[0].is_out && !requests[1].is_out &&
	      !requests[2].is_out);
	news = nothing();
	gate_leave(requests[0].pass, &news);
	turn_until(&requests[1].is_out, 1000);
	turn_for(60);
	check(requests[1].is_out && !requests[2].is_out);
	news.limited = true;
	news.closed_ms = 20000;
	gate_leave(requests[1].pass, &news);
	turn_for(60);
	check(!requests[2].is_out);
	check_int(gate_closed_ms(nodes[0].gates, &requests[0].place), >, 19000);
	request_init(&closed, 1, 1, NULL); /* another node cannot know */
	turn_until(&closed.is_out, 1000);
	check(closed.is_out);
	check(server_start(&server, NULL));
	until_up(true);
	turn_for(300); /* what was learnt is published */
	request_init(&later, 2, 1, NULL);
	turn_until(&later.is_out, 200);
	check(!later.is_out);
	check_int(gate_closed_ms(nodes[2].gates, &later.place), >, 15000);
	gate_leave(requests[2].pass, NULL);
	gate_leave(requests[3].pass, NULL);
	gate_leave(closed.pass, NULL);
	gate_leave(later.pass, NULL);
	for (int i = 0; i < 4; i++)
		loop_timer_free(requests[i].timer);
	loop_timer_free(closed.timer);
	loop_timer_free(later.timer);
	close_nodes();
	server_stop(&server);
}

static void
a_redis_that_does_not_answer_holds_nobody_for_long(void)
{
	struct server server = {0};
	struct request first, second;
	int64_t began_ms;

	check(server_start(&server, NULL));
	open_nodes(server.url, false);
	until_up(true);
	kill(server.pid, SIGSTOP);
	began_ms = clock_mono_ms();
	request_init(&first, 0, 1, NULL);
	request_init(&second, 0, 1, NULL);
	turn_until(&first.is_out, 2000);
	check(first.is_out && !second.is_out);
	check_int(clock_mono_ms() - began_ms, <, 400);
	kill(server.pid, SIGCONT);
	turn_until(&second.is_out, 2000);
	check(second.is_out);
	gate_leave(first.pass, NULL);
	gate_leave(second.pass, NULL);
	loop_timer_free(first.timer);
	loop_timer_free(second.timer);
	close_nodes();
	server_stop(&server);
}

int
main(void)
{
	if (rig_url() == NULL) {
		printf("1..0 # SKIP SLUICE_TEST_REDIS is not set\n");
		return 77;
	}
	CHECK_RUN(four_nodes_obey_ten_windows_that_say_only_when_they_open);
	CHECK_RUN(four_nodes_share_what_remains);
	CHECK_RUN(a_pass_may_leave_before_it_was_let_out_and_is_refused_at_its_deadline);
	CHECK_RUN(a_request_that_is_slow_to_go_asks_again);
	CHECK_RUN(a_redis_that_lost_a_window_is_told_of_it_again);
	CHECK_RUN(what_an_operator_clears_is_open_at_once_here_and_soon_elsewhere);
	CHECK_RUN(without_redis_a_node_obeys_what_it_knows_and_lets_one_out_at_a_time);
	CHECK_RUN(a_redis_that_does_not_answer_holds_nobody_for_long);
	return check_done();
}
