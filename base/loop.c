#include "base/loop.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"

/* A turn is one pass over what libevent found active, then the `soon` calls, then the frees.  Both
 * lists are cut off before they are run: what is added while they run waits for the next turn, so
 * a turn ends, and a call that was asked for while an object lived runs before it is freed. */

struct call {
	void (*fn)(void *arg);
	void *arg;
};

struct call_list {
	struct call *calls; /* owned */
	size_t count, size;
};

struct loop {
	struct event_base *base;
	struct event *limit; /* ends the wait of loop_turn() */
	struct call_list soon, frees;
	bool stopped;
	bool limit_hit;     /* this turn's wait ended by the limit ... */
	bool others_active; /* ... but other events were due as well */
};

struct loop_timer {
	struct event *event;
	loop_timer_cb *cb;
	void *arg;
	int64_t due_us;    /* CLOCK_MONOTONIC */
	int64_t period_us; /* 0: once */
};

struct loop_watch {
	struct event *event;
	loop_watch_cb *cb;
	void *arg;
	int what;
};

struct loop_signal {
	struct event *event;
	loop_signal_cb *cb;
	void *arg;
};

static void
must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "event loop: %s failed\n", what);
	abort();
}

static void
call_add(struct call_list *list, void (*fn)(void *arg), void *arg)
{
	if (list->count == list->size) {
		list->size = list->size > 0 ? list->size * 2 : 32;
		list->calls = sl_realloc(list->calls, list->size * sizeof(*list->calls));
	}
	list->calls[list->count++] = (struct call){fn, arg};
}

static void
call_run(struct call_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		list->calls[i].fn(list->calls[i].arg);
	free(list->calls);
	*list = (struct call_list){0};
}

static struct call_list
call_cut(struct call_list *list)
{
	struct call_list all = *list;

	*list = (struct call_list){0};
	return all;
}

/* Runs before every other event of the turn: it has the highest priority. */
static void
on_limit(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;

	(void)fd;
	(void)what;
	loop->limit_hit = true;
	loop->others_active = event_base_get_num_events(loop->base, EVENT_BASE_COUNT_ACTIVE) > 0;
}

struct loop *
loop_new(void)
{
	struct loop *loop = sl_alloc(sizeof(*loop));
	struct event_config *config = event_config_new();

	must(config != NULL, "event_config_new");
	must(event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV) == 0, "event_config");
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	must(loop->base != NULL, "event_base_new");
	must(strcmp(event_base_get_method(loop->base), "epoll") == 0, "epoll");
	/* Two levels: 0 for the limit, 1 (libevent's default is the middle) for all others. */
	must(event_base_priority_init(loop->base, 2) == 0, "event_base_priority_init");
	loop->limit = event_new(loop->base, -1, 0, on_limit, loop);
	must(loop->limit != NULL && event_priority_set(loop->limit, 0) == 0, "event_new");
	return loop;
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	while (loop->frees.count > 0) { /* a free may ask for another one */
		struct call_list frees = call_cut(&loop->frees);

		call_run(&frees);
	}
	free(loop->frees.calls);
	free(loop->soon.calls); /* not run: what they were about is gone */
	event_free(loop->limit);
	event_base_free(loop->base);
	free(loop);
}

struct event_base *
loop_base(struct loop *loop)
{
	return loop->base;
}

/* wait_ms < 0: until something happens. */
static bool
turn(struct loop *loop, int wait_ms)
{
	const int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;
	struct call_list soon, frees;
	struct timeval wait;
	bool happened;

	if (loop->soon.count > 0 || loop->frees.count > 0)
		wait_ms = 0;
	wait = (struct timeval){wait_ms / 1000, (wait_ms % 1000) * 1000};
	loop->limit_hit = loop->others_active = false;
	if (wait_ms >= 0)
		must(event_add(loop->limit, &wait) == 0, "event_add");
	must(event_base_loop(loop->base, flags) >= 0, "event_base_loop");
	event_del(loop->limit);
	happened = !loop->limit_hit || loop->others_active || loop->soon.count > 0 ||
		   loop->frees.count > 0;
	soon = call_cut(&loop->soon);
	frees = call_cut(&loop->frees);
	call_run(&soon);
	call_run(&frees);
	return happened;
}

void
loop_run(struct loop *loop)
{
	while (!loop->stopped)
		turn(loop, -1);
	loop->stopped = false;
}

void
loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

bool
loop_turn(struct loop *loop, int wait_ms)
{
	assert(wait_ms >= 0);
	return turn(loop, wait_ms);
}

void
loop_free_later(struct loop *loop, void (*free_fn)(void *arg), void *arg)
{
	call_add(&loop->frees, free_fn, arg);
}

void
loop_soon(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	call_add(&loop->soon, fn, arg);
}

static int64_t
now_us(void)
{
	struct timespec now;

	must(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "clock_gettime");
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
timer_wait(struct loop_timer *timer, int64_t us)
{
	struct timeval wait = {us / 1000000, us % 1000000};

	must(event_add(timer->event, &wait) == 0, "event_add");
}

/* libevent counts from a coarse, cached clock and may come some milliseconds early; we never do. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *timer = arg;
	int64_t now = now_us();

	(void)fd;
	(void)what;
	if (timer->due_us > now) {
		timer_wait(timer, timer->due_us - now);
		return;
	}
	if (timer->period_us > 0) {
		timer->due_us += timer->period_us;
		if (timer->due_us <= now) /* we were late by periods: do not catch up in a burst */
			timer->due_us = now + timer->period_us;
		timer_wait(timer, timer->due_us - now);
	}
	timer->cb(timer->arg); /* may free the timer */
}

struct loop_timer *
loop_timer_new(struct loop *loop, loop_timer_cb *cb, void *arg)
{
	struct loop_timer *timer = sl_alloc(sizeof(*timer));

	timer->cb = cb;
	timer->arg = arg;
	timer->event = event_new(loop->base, -1, 0, on_timer, timer);
	must(timer->event != NULL, "event_new");
	return timer;
}

static void
timer_arm(struct loop_timer *timer, int64_t delay_ms, int64_t period_ms)
{
	const int64_t longest_ms =
	    INT64_C(1000) * 86400 * 365 * 100; /* keeps the sums below in range */

	if (delay_ms < 0)
		delay_ms = 0;
	if (delay_ms > longest_ms)
		delay_ms = longest_ms;
	timer->period_us = period_ms > longest_ms ? longest_ms * 1000 : period_ms * 1000;
	timer->due_us = now_us() + delay_ms * 1000;
	timer_wait(timer, delay_ms * 1000);
}

void
loop_timer_in(struct loop_timer *timer, int64_t delay_ms)
{
	timer_arm(timer, delay_ms, 0);
}

void
loop_timer_every(struct loop_timer *timer, int64_t period_ms)
{
	assert(period_ms > 0);
	timer_arm(timer, period_ms, period_ms);
}

void
loop_timer_stop(struct loop_timer *timer)
{
	event_del(timer->event);
}

bool
loop_timer_is_armed(const struct loop_timer *timer)
{
	return event_pending(timer->event, EV_TIMEOUT, NULL) != 0;
}

void
loop_timer_free(struct loop_timer *timer)
{
	if (timer == NULL)
		return;
	event_free(timer->event);
	free(timer);
}

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct loop_watch *watch = arg;
	int ready = ((what & EV_READ) ? LOOP_READ : 0) | ((what & EV_WRITE) ? LOOP_WRITE : 0);

	(void)fd;
	watch->cb(watch->arg, ready); /* may free the watch */
}

struct loop_watch *
loop_watch_new(struct loop *loop, int fd, loop_watch_cb *cb, void *arg)
{
	struct loop_watch *watch = sl_alloc(sizeof(*watch));

	watch->cb = cb;
	watch->arg = arg;
	watch->event = event_new(loop->base, fd, EV_PERSIST, on_watch, watch);
	must(watch->event != NULL, "event_new");
	return watch;
}

void
loop_watch_set(struct loop_watch *watch, int what)
{
	struct event_base *base = event_get_base(watch->event);
	evutil_socket_t fd = event_get_fd(watch->event);
	short events = EV_PERSIST;

	assert((what & ~(LOOP_READ | LOOP_WRITE)) == 0);
	if (what == watch->what)
		return;
	event_del(watch->event);
	watch->what = what;
	if (what & LOOP_READ)
		events |= EV_READ;
	if (what & LOOP_WRITE)
		events |= EV_WRITE;
	must(event_assign(watch->event, base, fd, events, on_watch, watch) == 0, "event_assign");
	if (what != 0)
		must(event_add(watch->event, NULL) == 0, "event_add");
}

void
loop_watch_free(struct loop_watch *watch)
{
	if (watch == NULL)
		return;
	event_free(watch->event);
	free(watch);
}

static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct loop_signal *signal = arg;

	(void)what;
	signal->cb(signal->arg, (int)signo);
}

struct loop_signal *
loop_signal_new(struct loop *loop, int signo, loop_signal_cb *cb, void *arg)
{
	struct loop_signal *signal = sl_alloc(sizeof(*signal));

	signal->cb = cb;
	signal->arg = arg;
	signal->event = evsignal_new(loop->base, signo, on_signal, signal);
	must(signal->event != NULL && event_add(signal->event, NULL) == 0, "evsignal_new");
	return signal;
}

void
loop_signal_free(struct loop_signal *signal)
{
	if (signal == NULL)
		return;
	event_free(signal->event);
	free(signal);
}
