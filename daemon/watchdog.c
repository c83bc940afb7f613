/* daemon/watchdog.c - see watchdog.h. */
#include "daemon/watchdog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/log.h"

struct watchdog {
	struct loop *loop;
	struct notify *notify;
	struct loop_timer *timer;
	struct loop_watch *watch;
	int fd;
	bool in_round;
};

static void
on_round_end(void *arg)
{
	struct watchdog *watchdog = arg;

	watchdog->in_round = false;
	notify_send(watchdog->notify, "WATCHDOG=1");
}

static void
on_readable(void *arg, int what)
{
	struct watchdog *watchdog = arg;
	uint64_t count;

	(void)what;
	if (read(watchdog->fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
		loop_soon(watchdog->loop, on_round_end, watchdog);
}

static void
on_tick(void *arg)
{
	struct watchdog *watchdog = arg;
	const uint64_t one = 1;

	FAULT_POINT("watchdog_tick");
	if (watchdog->in_round) {
		log_warn("loop_stuck", "reason=%s",
			 log_text("a round of the loop did not end between two ticks"));
		return;
	}
	if (write(watchdog->fd, &one, sizeof(one)) == (ssize_t)sizeof(one))
		watchdog->in_round = true;
}

enum sl_code
watchdog_new(struct loop *loop, struct notify *notify, struct watchdog **out,
	     struct sl_error *error)
{
	int64_t half_ms = notify_watchdog_usec(notify) / 2000;
	struct watchdog *watchdog;
	int fd;

	*out = NULL;
	if (notify_watchdog_usec(notify) == 0)
		return SL_OK;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return sl_fail(error, SL_UNAVAILABLE, "watchdog: eventfd: %s", strerror(errno));
	watchdog = sl_alloc(sizeof(*watchdog));
	watchdog->loop = loop;
	watchdog->notify = notify;
	watchdog->fd = fd;
	watchdog->watch = loop_watch_new(loop, fd, on_readable, watchdog);
	loop_watch_set(watchdog->watch, LOOP_READ);
	watchdog->timer = loop_timer_new(loop, on_tick, watchdog);
	loop_timer_every(watchdog->timer, half_ms > 0 ? half_ms : 1);
	on_tick(watchdog);
	*out = watchdog;
	return SL_OK;
}

void
watchdog_free(struct watchdog *watchdog)
{
	if (watchdog == NULL)
		return;
	loop_timer_free(watchdog->timer);
	loop_watch_free(watchdog->watch);
	close(watchdog->fd);
	free(watchdog); /* the loop runs no more: no round can end */
}
