/* daemon/worker/calls.c - see calls.h. */
#include "daemon/worker/calls.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "daemon/call.h"

#define WAITING_MAX 1000

struct call { /* runs or waits for a runner */
	struct call *next;
	struct calls *calls;
	struct attempt_ask ask;
	char *input;
	int64_t expires_ms;
	attempt_cb *cb;
	void *arg;
};

struct calls {
	struct daemon *daemon;
	struct call *first, **last; /* those that wait */
	int waiting, running;
	int lent;     /* of those that run: places that others may have */
	int expected; /* places for calls that are being taken from Redis */
	int64_t limit_ms;
	struct loop_timer *timer; /* the first one's expiry */
	void (*on_end)(void *arg);
	void *arg;
};

static void
call_free(struct call *call)
{
	free(call->input);
	free(call);
}

static struct call *
take_first(struct calls *calls)
{
	struct call *call = calls->first;

	calls->first = call->next;
	if (calls->first == NULL)
		calls->last = &calls->first;
	calls->waiting--;
	return call;
}

static void
on_lent(void *arg, bool lent)
{
	const struct call *call = arg;

	call->calls->lent += lent ? 1 : -1;
	if (lent)
		call->calls->on_end(call->calls->arg);
}

static struct call *
call_new(struct calls *calls, const struct attempt_ask *ask, attempt_cb *cb, void *arg)
{
	struct call *call = sl_alloc(sizeof(*call));

	call->calls = calls;
	call->ask = *ask;
	call->input = sl_memdup(ask->input.data, ask->input.len);
	call->ask.input.data = call->input;
	call->ask.lent = on_lent;
	call->expires_ms = clock_mono_ms() + calls->limit_ms;
	call->cb = cb;
	call->arg = arg;
	return call;
}

static void
on_attempt_end(void *arg, const struct attempt_end *end)
{
	struct call *call = arg;
	struct calls *calls = call->calls;

	calls->running--;
	call->cb(call->arg, end);
	call_free(call);
	calls->on_end(calls->arg);
}

void
calls_start(struct calls *calls, int room)
{
	for (; room > 0 && calls->first != NULL; room--) {
		struct call *call = take_first(calls);

		calls->running++;
		(void)attempt_start(calls->daemon, &call->ask, on_attempt_end, call);
	}
}

static void
on_timer(void *arg)
{
	struct calls *calls = arg;
	int64_t now = clock_mono_ms();

	while (calls->first != NULL && calls->first->expires_ms <= now) {
		struct call *call = take_first(calls);

		call_not_started(calls->daemon, call->cb, call->arg);
		call_free(call);
	}
	if (calls->first != NULL)
		loop_timer_in(calls->timer, calls->first->expires_ms - now + 1);
	calls->on_end(calls->arg);
}

enum sl_code
calls_add(struct calls *calls, const struct attempt_ask *ask, attempt_cb *cb, void *arg,
	  struct sl_error *error)
{
	struct call *call;

	if (calls->waiting >= WAITING_MAX)
		return sl_fail(error, SL_EXHAUSTED, "%d calls wait for a runner already",
			       calls->waiting);
	call = call_new(calls, ask, cb, arg);
	*calls->last = call;
	calls->last = &call->next;
	calls->waiting++;
	if (!loop_timer_is_armed(calls->timer))
		loop_timer_in(calls->timer, calls->limit_ms + 1);
	return SL_OK;
}

void
calls_refuse(struct calls *calls)
{
	static const struct attempt_end end = {.state = JOB_FAILED, .aborted = true};

	while (calls->first != NULL) {
		struct call *call = take_first(calls);

		call->cb(call->arg, &end);
		call_free(call);
	}
}

struct calls *
calls_new(struct daemon *daemon, void (*on_end)(void *arg), void *arg)
{
	struct calls *calls = sl_alloc(sizeof(*calls));

	calls->daemon = daemon;
	calls->last = &calls->first;
	calls->limit_ms = config_int(daemon->config, "call_start_limit");
	calls->timer = loop_timer_new(daemon->loop, on_timer, calls);
	calls->on_end = on_end;
	calls->arg = arg;
	return calls;
}

void
calls_free(struct calls *calls)
{
	while (calls->first != NULL)
		call_free(take_first(calls));
	loop_timer_free(calls->timer);
	free(calls);
}

void
calls_start_now(struct calls *calls, const struct attempt_ask *ask, attempt_cb *cb, void *arg)
{
	struct call *call = call_new(calls, ask, cb, arg);

	calls->running++;
	(void)attempt_start(calls->daemon, &call->ask, on_attempt_end, call);
}

void
calls_expect(struct calls *calls, int places)
{
	calls->expected += places;
}

bool
calls_pass_on(struct calls *calls, calls_taker *taker, void *arg)
{
	struct call *call = calls->first;

	if (call == NULL || !taker(arg, &call->ask, call->cb, call->arg))
		return false;
	call_free(take_first(calls));
	return true;
}

int
calls_places(const struct calls *calls)
{
	return calls->running - calls->lent + calls->expected;
}

int
calls_running(const struct calls *calls)
{
	return calls->running;
}

int
calls_waiting(const struct calls *calls)
{
	return calls->waiting;
}
