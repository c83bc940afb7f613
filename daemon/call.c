/* daemon/call.c - see call.h.
 *
 *   PUSHING -> WAITING -> TAKEN -> its end;  WAITING -> WITHDRAWING -> its end or TAKEN
 *
 * PUSHING and WAITING end by the start limit, and then only by an answer of Redis, which knows whether
 * somebody has taken the call.  TAKEN ends by the taker's answer, or when its lease has been gone twice.  A
 * taker that refuses has not started it and never will: the call is pushed again. */
#include "daemon/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/envelope.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/map.h"
#include "base/secret.h"
#include "daemon/shard.h"
#include "daemon/worker/dispatch.h"
#include "queue/call.h"
#include "queue/lease.h"

#define WAIT_MS 5000    /* for answers, at a time */
#define AGAIN_MS 500    /* after an error, or a refusal */
#define BLIND_MS 120000 /* as long as Redis keeps answers */
#define CALL_ROOM 1024  /* of an envelope beside its input */

enum trip_state { TRIP_PUSHING, TRIP_WAITING, TRIP_WITHDRAWING, TRIP_TAKEN };

struct trip { /* one call under way */
	struct callers *callers;
	enum trip_state state;
	char id[UUID_TEXT];
	int shard;
	struct attempt_ask ask; /* input borrows from input */
	char *input;
	struct buf envelope;
	int64_t expires_ms; /* monotonic: not started later */
	int64_t heard_ms;   /* TAKEN: when Redis last said anything about the taker */
	char worker[CALL_NODE_MAX + 1];
	int gone;     /* looks in a row that did not find the taker's lease */
	int asking;   /* questions in flight: the trip is not freed before their answers */
	bool pushing; /* one of them is the push */
	bool over;
	struct loop_timer *timer; /* the next thing to do in this state */
	attempt_cb *cb;
	void *arg;
};

struct caller_shard {
	struct callers *callers;
	int shard;
	int trips;
	bool waiting;
	struct loop_timer *again;
};

struct callers {
	struct daemon *daemon;
	char node[CALL_NODE_MAX + 1];
	int64_t limit_ms, look_ms, ttl_ms;
	struct map *trips;           /* id -> trip */
	struct caller_shard *shards; /* owned */
	bool leaving;                /* calls that nobody has taken end */
	bool closed;
};

static void push(struct trip *trip);
static void listen(struct caller_shard *shard);

/* ---- ends ------------------------------------------------------------------------------------ */

void
call_not_started(struct daemon *daemon, attempt_cb *cb, void *arg)
{
	char text[200];
	struct attempt_end end = {.state = JOB_FAILED};

	snprintf(
	    text, sizeof(text),
	    "{\"code\":\"action_script_failure\",\"message\":\"The function did not start within "
	    "%g s: all runners are busy\",\"payload\":{\"error\":\"not_started\"}}",
	    (double)config_int(daemon->config, "call_start_limit") / 1000);
	end.output = slice_text(text);
	cb(arg, &end);
}

void
call_lost(attempt_cb *cb, void *arg)
{
	static const char text[] =
	    "{\"code\":\"action_script_failure\",\"message\":\"The worker that ran the function was "
	    "lost\",\"payload\":{\"error\":\"worker_lost\"}}";
	const struct attempt_end end = {.state = JOB_FAILED, .output = {text, sizeof(text) - 1}};

	cb(arg, &end);
}

static void
trip_free(void *arg)
{
	struct trip *trip = arg;

	loop_timer_free(trip->timer);
	buf_fini(&trip->envelope);
	free(trip->input);
	free(trip);
}

/* Out of the books; the caller has told, or tells, the asker. */
static void
trip_over(struct trip *trip)
{
	trip->over = true;
	loop_timer_stop(trip->timer);
	map_remove_text(trip->callers->trips, trip->id);
	trip->callers->shards[trip->shard].trips--;
	if (trip->asking == 0)
		loop_free_later(trip->callers->daemon->loop, trip_free, trip);
}

/* An answer came: false: nobody waits for it any more. */
static bool
trip_answered(struct trip *trip)
{
	trip->asking--;
	if (!trip->over)
		return !trip->callers->closed;
	if (trip->asking == 0)
		loop_free_later(trip->callers->daemon->loop, trip_free, trip);
	return false;
}

static void
end_not_started(struct trip *trip)
{
	trip_over(trip);
	call_not_started(trip->callers->daemon, trip->cb, trip->arg);
}

static void
end_aborted(struct trip *trip)
{
	static const struct attempt_end end = {.state = JOB_FAILED, .aborted = true};

	trip_over(trip);
	trip->cb(trip->arg, &end);
}

static void
end_lost(struct trip *trip)
{
	log_warn("call_lost", "call=%s worker=%s", trip->id,
		 trip->worker[0] != '\0' ? trip->worker : "unknown");
	trip_over(trip);
	call_lost(trip->cb, trip->arg);
}

/* It stands in no list, and nobody has it: it waits here, or is pushed again. */
static void
go_home(struct trip *trip)
{
	struct dispatch *dispatch = trip->callers->daemon->dispatch;
	struct sl_error error;

	if (trip->callers->leaving) {
		end_aborted(trip);
	} else if (dispatch != NULL &&
		   dispatch_call(dispatch, &trip->ask, trip->cb, trip->arg, &error) == SL_OK) {
		trip_over(trip);
	} else if (clock_mono_ms() < trip->expires_ms) {
		trip->state = TRIP_PUSHING;
		loop_timer_in(trip->timer, AGAIN_MS);
	} else {
		end_not_started(trip);
	}
}

/* ---- withdrawing ----------------------------------------------------------------------------- */

static void
on_withdrawn(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct trip *trip = arg;

	(void)error;
	if (!trip_answered(trip) || trip->state != TRIP_WITHDRAWING)
		return;
	if (code == SL_OK && value == 1 && trip->callers->leaving) {
		end_aborted(trip);
		return;
	}
	if (code == SL_OK && value == 1) {
		if (clock_mono_ms() < trip->expires_ms) /* its push had failed */
			go_home(trip);
		else
			end_not_started(trip);
		return;
	}
	/* Taken: the taker says so any moment.  Or Redis is away, or has forgotten everything: then who
	 * has it cannot be known. */
	loop_timer_in(trip->timer, code == SL_OK ? trip->callers->ttl_ms : AGAIN_MS);
}

static void
withdraw(struct trip *trip)
{
	trip->state = TRIP_WITHDRAWING;
	trip->asking++;
	call_withdraw(trip->callers->daemon->queues[trip->shard], buf_slice(&trip->envelope),
		      on_withdrawn, trip);
}

/* ---- the taker ------------------------------------------------------------------------------- */

static void
on_live(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct trip *trip = arg;

	(void)error;
	if (!trip_answered(trip) || trip->state != TRIP_TAKEN)
		return;
	if (code == SL_OK) {
		trip->heard_ms = clock_mono_ms();
		trip->gone = value == 1 ? 0 : trip->gone + 1;
	}
	if (trip->gone >= 2 || clock_mono_ms() > trip->heard_ms + BLIND_MS)
		end_lost(trip);
	else
		loop_timer_in(trip->timer, trip->callers->look_ms);
}

static void
look_for_taker(struct trip *trip)
{
	trip->asking++;
	lease_is_live(trip->callers->daemon->queues[trip->shard], trip->worker, on_live, trip);
}

static void
on_timer(void *arg)
{
	struct trip *trip = arg;
	int64_t now = clock_mono_ms();

	switch (trip->state) {
	case TRIP_PUSHING: /* again, after a refusal */
		if (!trip->pushing)
			push(trip);
		else
			loop_timer_in(trip->timer, AGAIN_MS);
		return;
	case TRIP_WAITING:
		withdraw(trip);
		return;
	case TRIP_WITHDRAWING:
		if (now > trip->expires_ms + 2 * trip->callers->ttl_ms)
			end_lost(trip);
		else
			withdraw(trip);
		return;
	case TRIP_TAKEN:
		look_for_taker(trip);
		return;
	}
}

static void
encode(struct trip *trip, int64_t start_by_ms)
{
	struct callers *callers = trip->callers;
	struct call_envelope call = {
	    .environment_id = trip->ask.environment_id,
	    .function_version_id = trip->ask.function_version_id,
	    .connection_id = trip->ask.connection_id,
	    .kind = trip->ask.kind,
	    .start_by_ms = start_by_ms,
	    .has_input = trip->ask.input.len > 0,
	    .input = trip->ask.input,
	};

	memcpy(call.id, trip->id, sizeof(call.id));
	memcpy(call.node, callers->node, sizeof(call.node));
	buf_init(&trip->envelope, CALL_INPUT_MAX + CALL_ROOM);
	call_envelope_encode(&call, callers->daemon->envelope_key, &trip->envelope);
}

static void
take_answer(struct callers *callers, const struct call_answer *answer)
{
	struct trip *trip = map_get_text(callers->trips, answer->id);
	struct attempt_end end = {.state =
				      answer->state == JOB_SUCCEEDED ? JOB_SUCCEEDED : JOB_FAILED,
				  .aborted = answer->aborted,
				  .output = answer->output};

	if (trip == NULL) /* given twice, or given up */
		return;
	switch (answer->what) {
	case CALL_STARTED:
		trip->state = TRIP_TAKEN;
		trip->gone = 0;
		trip->heard_ms = clock_mono_ms();
		memcpy(trip->worker, answer->worker, sizeof(trip->worker));
		loop_timer_in(trip->timer, callers->look_ms);
		return;
	case CALL_ENDED:
		trip_over(trip);
		trip->cb(trip->arg, &end);
		return;
	case CALL_REFUSED:
		if (callers->leaving) {
			end_aborted(trip);
			return;
		}
		if (clock_mono_ms() + AGAIN_MS >= trip->expires_ms) {
			end_not_started(trip);
			return;
		}
		/* That worker's clock may be ahead of ours: from now on only our own counts. */
		buf_fini(&trip->envelope);
		encode(trip, 0);
		trip->state = TRIP_PUSHING;
		loop_timer_in(trip->timer, AGAIN_MS);
		return;
	}
}

static void
on_answers(void *arg, enum sl_code code, const struct slice *answers, int count,
	   const struct sl_error *error)
{
	struct caller_shard *shard = arg;
	struct callers *callers = shard->callers;

	shard->waiting = false;
	if (callers->closed)
		return;
	if (code != SL_OK) {
		log_debug("answers_not_read", "shard=%d error=%s", shard->shard,
			  log_text(error != NULL ? error->text : sl_code_name(code)));
		loop_timer_in(shard->again, AGAIN_MS);
		return;
	}
	for (int i = 0; i < count; i++) {
		struct call_answer answer;
		struct sl_error why;

		if (call_answer_decode(answers[i], callers->daemon->envelope_key, &answer, &why) ==
		    SL_OK) {
			take_answer(callers, &answer);
		} else {
			metrics_count(METRIC_SECURITY, METRIC_CALL);
			log_warn("security_event", "kind=security_call_answer shard=%d detail=%s",
				 shard->shard, log_text(why.text));
		}
	}
	if (count > 0 || shard->trips > 0) /* what was given is removed by the next one */
		listen(shard);
}

static void
listen(struct caller_shard *shard)
{
	struct callers *callers = shard->callers;

	if (shard->waiting || callers->closed)
		return;
	shard->waiting = true;
	call_wait(callers->daemon->queues[shard->shard], callers->node, WAIT_MS, on_answers, shard);
}

static void
on_listen_again(void *arg)
{
	struct caller_shard *shard = arg;

	if (shard->trips > 0)
		listen(shard);
}

/* ---- the way there --------------------------------------------------------------------------- */

static void
on_pushed(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct trip *trip = arg;

	(void)value;
	FAULT_POINT("call_pushed");
	trip->pushing = false;
	if (!trip_answered(trip) || trip->state != TRIP_PUSHING || loop_timer_is_armed(trip->timer))
		return; /* its taker was quicker, with whatever answer */
	if (code == SL_OK) {
		int64_t left = trip->expires_ms - clock_mono_ms();

		trip->state = TRIP_WAITING;
		loop_timer_in(trip->timer, left > 0 && !trip->callers->leaving ? left : 0);
		if (trip->callers->daemon->dispatch != NULL)
			dispatch_calls_wait(trip->callers->daemon->dispatch, trip->shard);
		return;
	}
	log_debug("call_not_pushed", "call=%s code=%s error=%s", trip->id, sl_code_name(code),
		  log_text(error != NULL ? error->text : ""));
	if (code == SL_UNAVAILABLE) /* perhaps it was */
		withdraw(trip);
	else
		go_home(trip);
}

static void
push(struct trip *trip)
{
	trip->state = TRIP_PUSHING;
	trip->pushing = true;
	trip->asking++;
	call_push(trip->callers->daemon->queues[trip->shard], buf_slice(&trip->envelope), on_pushed,
		  trip);
	listen(&trip->callers->shards[trip->shard]);
}

bool
call_travel(void *arg, const struct attempt_ask *ask, attempt_cb *cb, void *cb_arg)
{
	struct daemon *daemon = arg;
	struct callers *callers = daemon->callers;
	int shard = shard_of(daemon, ask->environment_id);
	struct trip *trip;

	if (callers->leaving || !queue_is_up(daemon->queues[shard]) ||
	    ask->input.len > CALL_INPUT_MAX)
		return false;
	trip = sl_alloc(sizeof(*trip));
	trip->callers = callers;
	trip->shard = shard;
	trip->ask = *ask;
	trip->input = sl_memdup(ask->input.data, ask->input.len);
	trip->ask.input.data = trip->input;
	trip->expires_ms = clock_mono_ms() + callers->limit_ms;
	trip->timer = loop_timer_new(daemon->loop, on_timer, trip);
	trip->cb = cb;
	trip->arg = cb_arg;
	uuid_v7(trip->id);
	encode(trip, clock_wall_ms() + callers->limit_ms);
	map_put_text(callers->trips, trip->id, trip);
	callers->shards[shard].trips++;
	push(trip);
	return true;
}

enum sl_code
call_run(struct daemon *daemon, const struct attempt_ask *ask, attempt_cb *cb, void *arg,
	 struct sl_error *error)
{
	bool here = daemon->dispatch != NULL && dispatch_has_place(daemon->dispatch);

	if (!here && call_travel(daemon, ask, cb, arg))
		return SL_OK;
	if (daemon->dispatch == NULL)
		return sl_fail(
		    error, SL_UNAVAILABLE,
		    "this node runs no functions (role worker) and cannot reach one that "
		    "does: Redis is away, or the input is over 8 MiB; use X-Async");
	return dispatch_call(daemon->dispatch, ask, cb, arg, error);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct callers *
callers_new(struct daemon *daemon)
{
	struct callers *callers = sl_alloc(sizeof(*callers));
	uint32_t random[4];

	callers->daemon = daemon;
	callers->limit_ms = config_int(daemon->config, "call_start_limit");
	callers->ttl_ms = config_int(daemon->config, "lease_ttl");
	callers->look_ms = callers->ttl_ms / 3;
	callers->trips = map_new();
	secret_random(random, sizeof(random));
	snprintf(callers->node, sizeof(callers->node), "%08x%08x%08x%08x", random[0], random[1],
		 random[2], random[3]);
	callers->shards = sl_calloc((size_t)daemon->shard_count, sizeof(*callers->shards));
	for (int i = 0; i < daemon->shard_count; i++) {
		callers->shards[i].callers = callers;
		callers->shards[i].shard = i;
		callers->shards[i].again =
		    loop_timer_new(daemon->loop, on_listen_again, &callers->shards[i]);
	}
	return callers;
}

void
callers_give_up(struct callers *callers)
{
	size_t at = 0;
	void *value;

	if (callers == NULL || callers->leaving)
		return;
	callers->leaving = true;
	while (map_each(callers->trips, &at, &value)) {
		struct trip *trip = value;

		if (trip->state == TRIP_WAITING)
			withdraw(trip);
		else if (trip->state == TRIP_PUSHING && !trip->pushing)
			end_aborted(trip);
	}
}

void
callers_close(struct callers *callers)
{
	if (callers != NULL)
		callers->closed = true;
}

void
callers_free(struct callers *callers)
{
	if (callers == NULL)
		return;
	for (int i = 0; i < callers->daemon->shard_count; i++)
		loop_timer_free(callers->shards[i].again);
	map_free(callers->trips, trip_free);
	free(callers->shards);
	free(callers);
}
