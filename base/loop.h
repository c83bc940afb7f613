/* base/loop.h - the event loop: timers and freeing at the end of a turn.
 *
 * A thin coat over one libevent base.  Libraries with adapters of their own (hiredis, curl,
 * bufferevents) get the base by loop_base(). */
#ifndef SLUICE_BASE_LOOP_H
#define SLUICE_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;       /* opaque */
struct loop_timer; /* opaque: one-shot or repeating */
struct loop_watch; /* opaque: a descriptor we wait on */

struct loop *loop_new(void);       /* aborts when the kernel gives no epoll */
void loop_free(struct loop *loop); /* after everything on it has been freed; runs what is still due
				      to be freed */
struct event_base *loop_base(struct loop *loop);
void loop_run(struct loop *loop); /* until loop_stop() */
void loop_stop(struct loop *loop);
bool loop_turn(struct loop *loop,
	       int wait_ms); /* one turn, waits at most wait_ms; false: nothing happened (tests) */

/* free_fn(arg) at the end of this turn of the loop, when no callback can hold the object any more.
 */
void loop_free_later(struct loop *loop, void (*free_fn)(void *arg), void *arg);
/* fn(arg) soon, from the loop, never from inside this call. */
void loop_soon(struct loop *loop, void (*fn)(void *arg), void *arg);

typedef void loop_timer_cb(void *arg);
/* The timer is owned by the caller and idle until loop_timer_in(); delays in milliseconds. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_cb *cb, void *arg);
void loop_timer_in(struct loop_timer *timer, int64_t delay_ms);     /* (re)arms, once */
void loop_timer_every(struct loop_timer *timer, int64_t period_ms); /* (re)arms, repeating */
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_armed(const struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* NULL is fine */

enum { LOOP_READ = 1, LOOP_WRITE = 2 };
typedef void loop_watch_cb(void *arg, int what); /* what: LOOP_READ | LOOP_WRITE */
/* Level-triggered.  Does not own fd; free before closing it. */
struct loop_watch *loop_watch_new(struct loop *loop, int fd, loop_watch_cb *cb, void *arg);
void loop_watch_set(struct loop_watch *watch, int what); /* 0: none */
void loop_watch_free(struct loop_watch *watch);

typedef void loop_signal_cb(void *arg, int signo);
struct loop_signal;
struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_signal_cb *cb, void *arg);
void loop_signal_free(struct loop_signal *signal);

#endif
