#include "base/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/check.h"

/* What happened, in order: a letter per call. */
static char trace[64];
static struct loop *loop;

static void
note(char letter)
{
	size_t len = strlen(trace);

	trace[len] = letter;
	trace[len + 1] = '\0';
}

static void
start(void)
{
	trace[0] = '\0';
	loop = loop_new();
}

static void
note_a(void *arg)
{
	(void)arg;
	note('a');
}

static void
note_b(void *arg)
{
	(void)arg;
	note('b');
}

static void
note_free(void *arg)
{
	(void)arg;
	note('f');
}

static int64_t
real_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
an_idle_turn_says_that_nothing_happened(void)
{
	int64_t before = real_us();

	start();
	check(!loop_turn(loop, 0));
	check(!loop_turn(loop, 20));
	check_int(real_us() - before, >=, 15000);
	loop_free(loop);
}

static void
soon_runs_once_and_not_at_once(void)
{
	start();
	loop_soon(loop, note_a, NULL);
	loop_soon(loop, note_b, NULL);
	check_text(trace, "");
	check(loop_turn(loop, 10000)); /* does not wait either */
	check_text(trace, "ab");
	check(!loop_turn(loop, 0));
	check_text(trace, "ab");
	loop_free(loop);
}

static void
again(void *arg)
{
	note('s');
	loop_soon(loop, again, arg);
}

static void
soon_from_soon_waits_for_the_next_turn(void)
{
	start();
	loop_soon(loop, again, NULL);
	check(loop_turn(loop, 1000));
	check_text(trace, "s");
	check(loop_turn(loop, 1000));
	check_text(trace, "ss");
	loop_free(loop);
}

static void
free_and_soon(void *arg)
{
	(void)arg;
	note('c');
	loop_free_later(loop, note_free, NULL);
	loop_soon(loop, note_b, NULL); /* still about the object that is to be freed */
}

static void
frees_come_after_all_calls_about_the_object(void)
{
	struct loop_timer *timer;

	start();
	timer = loop_timer_new(loop, free_and_soon, NULL);
	loop_timer_in(timer, 0);
	check(loop_turn(loop, 1000));
	check_text(trace, "cbf");
	loop_soon(loop, free_and_soon, NULL); /* and when asked for while draining */
	check(loop_turn(loop, 1000));
	check_text(trace, "cbfc");
	check(loop_turn(loop, 1000));
	check_text(trace, "cbfcbf");
	loop_timer_free(timer);
	loop_free(loop);
}

static void
free_more(void *arg)
{
	note('m');
	loop_free_later(arg, note_free, NULL);
}

static void
ending_the_loop_runs_what_is_due_to_be_freed(void)
{
	start();
	loop_free_later(loop, free_more, loop);
	loop_soon(loop, note_a, NULL);
	loop_free(loop);
	check_text(trace, "mf");
}

static void
a_timer_fires_once_and_never_early(void)
{
	struct loop_timer *timer;

	start();
	timer = loop_timer_new(loop, note_a, NULL);
	check(!loop_timer_is_armed(timer));
	for (int64_t delay_ms = 1; delay_ms < 12; delay_ms++) {
		int64_t before = real_us();

		trace[0] = '\0';
		loop_timer_in(timer, delay_ms);
		check(loop_timer_is_armed(timer));
		for (int i = 0; i < 1000 && trace[0] == '\0'; i++)
			loop_turn(loop, 1000);
		check_text(trace, "a");
		check_int(real_us() - before, >=, delay_ms * 1000);
		check(!loop_timer_is_armed(timer));
	}
	check(!loop_turn(loop, 5));
	loop_timer_free(timer);
	loop_timer_free(NULL);
	loop_free(loop);
}

static struct loop_timer *shared_timer;
static int64_t armed_us;

static void
work_then_arm(void *arg)
{
	struct timespec nap = {0, 30000000};

	(void)arg;
	nanosleep(&nap, NULL); /* libevent's idea of now dates from before this */
	armed_us = real_us();
	loop_timer_in(shared_timer, 20);
}

static void
a_timer_counts_from_when_it_is_armed(void)
{
	struct loop_timer *slow;

	start();
	slow = loop_timer_new(loop, work_then_arm, NULL);
	shared_timer = loop_timer_new(loop, note_a, NULL);
	loop_timer_in(slow, 0);
	for (int i = 0; i < 1000 && trace[0] == '\0'; i++)
		loop_turn(loop, 1000);
	check_text(trace, "a");
	check_int(real_us() - armed_us, >=, 20000);
	loop_timer_free(slow);
	loop_timer_free(shared_timer);
	loop_free(loop);
}

static void
negative_and_endless_delays_are_bounded(void)
{
	struct loop_timer *timer;

	start();
	timer = loop_timer_new(loop, note_a, NULL);
	loop_timer_in(timer, INT64_MAX);
	check(loop_timer_is_armed(timer));
	check(!loop_turn(loop, 1));
	loop_timer_in(timer, INT64_MIN);
	check(loop_turn(loop, 1000));
	check_text(trace, "a");
	loop_timer_free(timer);
	loop_free(loop);
}

static void
stop_at_three(void *arg)
{
	(void)arg;
	note('t');
	if (strlen(trace) == 3)
		loop_timer_stop(shared_timer);
}

static void
a_repeating_timer_can_stop_itself(void)
{
	start();
	shared_timer = loop_timer_new(loop, stop_at_three, NULL);
	loop_timer_every(shared_timer, 1);
	for (int i = 0; i < 1000 && loop_timer_is_armed(shared_timer); i++)
		loop_turn(loop, 1000);
	check_text(trace, "ttt");
	check(!loop_turn(loop, 5));
	loop_timer_free(shared_timer);
	loop_free(loop);
}

static void
free_own_timer(void *arg)
{
	(void)arg;
	note('t');
	loop_timer_free(shared_timer);
}

static void
a_timer_can_free_itself(void)
{
	start();
	shared_timer = loop_timer_new(loop, free_own_timer, NULL);
	loop_timer_every(shared_timer, 1);
	for (int i = 0; i < 1000 && trace[0] == '\0'; i++)
		loop_turn(loop, 1000);
	check(!loop_turn(loop, 5));
	check_text(trace, "t");
	loop_free(loop);
}

static void
on_ready(void *arg, int what)
{
	(void)arg;
	if (what & LOOP_READ)
		note('r');
	if (what & LOOP_WRITE)
		note('w');
}

static void
a_watch_is_level_triggered_and_can_change(void)
{
	struct loop_watch *watch;
	int ends[2];

	start();
	check_int(pipe(ends), ==, 0);
	watch = loop_watch_new(loop, ends[0], on_ready, NULL);
	check_int(write(ends[1], "x", 1), ==, 1);
	check(!loop_turn(loop, 0)); /* nothing is waited for yet */
	loop_watch_set(watch, LOOP_READ);
	check(loop_turn(loop, 1000));
	check(loop_turn(loop, 1000));
	check_text(trace, "rr");
	loop_watch_set(watch, 0);
	check(!loop_turn(loop, 5));
	loop_watch_set(watch, LOOP_READ);
	loop_watch_set(watch, LOOP_READ);
	check(loop_turn(loop, 1000));
	check_text(trace, "rrr");
	loop_watch_free(watch);
	watch = loop_watch_new(loop, ends[1], on_ready, NULL);
	loop_watch_set(watch, LOOP_WRITE);
	check(loop_turn(loop, 1000));
	check_text(trace, "rrrw");
	loop_watch_free(watch);
	loop_watch_free(NULL);
	close(ends[0]);
	close(ends[1]);
	loop_free(loop);
}

static struct loop_watch *shared_watch;

static void
free_own_watch(void *arg, int what)
{
	(void)arg;
	(void)what;
	note('x');
	loop_watch_free(shared_watch);
}

static void
a_watch_can_free_itself(void)
{
	int ends[2];

	start();
	check_int(pipe(ends), ==, 0);
	shared_watch = loop_watch_new(loop, ends[1], free_own_watch, NULL);
	loop_watch_set(shared_watch, LOOP_WRITE);
	check(loop_turn(loop, 1000));
	check(!loop_turn(loop, 5));
	check_text(trace, "x");
	close(ends[0]);
	close(ends[1]);
	loop_free(loop);
}

static void
on_signal(void *arg, int signo)
{
	(void)arg;
	note(signo == SIGUSR1 ? 'u' : '?');
}

static void
signals_arrive_as_callbacks(void)
{
	struct loop_signal *watcher;

	start();
	watcher = loop_signal_new(loop, SIGUSR1, on_signal, NULL);
	raise(SIGUSR1);
	for (int i = 0; i < 10 && trace[0] == '\0'; i++)
		loop_turn(loop, 1000);
	check_text(trace, "u");
	loop_signal_free(watcher);
	loop_signal_free(NULL);
	loop_free(loop);
}

static void
stop(void *arg)
{
	note('e');
	loop_stop(arg);
}

static void
run_ends_with_the_turn_that_stops_it(void)
{
	struct loop_timer *timer;

	start();
	timer = loop_timer_new(loop, stop, loop);
	loop_timer_in(timer, 1);
	loop_run(loop);
	check_text(trace, "e");
	loop_soon(loop, stop, loop); /* and can run again */
	loop_soon(loop, note_a, NULL);
	loop_run(loop);
	check_text(trace, "eea");
	loop_timer_free(timer);
	loop_free(loop);
}

int
main(void)
{
	CHECK_RUN(an_idle_turn_says_that_nothing_happened);
	CHECK_RUN(soon_runs_once_and_not_at_once);
	CHECK_RUN(soon_from_soon_waits_for_the_next_turn);
	CHECK_RUN(frees_come_after_all_calls_about_the_object);
	CHECK_RUN(ending_the_loop_runs_what_is_due_to_be_freed);
	CHECK_RUN(a_timer_fires_once_and_never_early);
	CHECK_RUN(a_timer_counts_from_when_it_is_armed);
	CHECK_RUN(negative_and_endless_delays_are_bounded);
	CHECK_RUN(a_repeating_timer_can_stop_itself);
	CHECK_RUN(a_timer_can_free_itself);
	CHECK_RUN(a_watch_is_level_triggered_and_can_change);
	CHECK_RUN(a_watch_can_free_itself);
	CHECK_RUN(signals_arrive_as_callbacks);
	CHECK_RUN(run_ends_with_the_turn_that_stops_it);
	return check_done();
}
