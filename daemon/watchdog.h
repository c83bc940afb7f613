/* daemon/watchdog.h - WATCHDOG=1 as long as the loop makes progress.
 *
 * The rule: a sign of life is the end of a round through the loop's own kinds of work, begun by a timer
 * twice in the time that systemd gives: the timer makes a descriptor readable, its event asks for a
 * call at the end of the turn, and that call sends WATCHDOG=1.  A callback that never returns, a
 * descriptor set that reports nothing any more or a turn that never ends therefore stop the signs,
 * though timers may still fire.  What others owe us is no reason to be killed: while Postgres or Redis
 * is away the loop goes round, and a new process would not reach them either. */
#ifndef SLUICE_DAEMON_WATCHDOG_H
#define SLUICE_DAEMON_WATCHDOG_H

#include "base/loop.h"
#include "daemon/notify.h"

struct watchdog; /* opaque */

/* Begins with a sign at once.  NULL when no signs are asked for, or with error set when the kernel
 * gives no descriptor.  notify is borrowed. */
SL_MUST_USE enum sl_code watchdog_new(struct loop *loop, struct notify *notify,
				      struct watchdog **out, struct sl_error *error);
void watchdog_free(struct watchdog *watchdog); /* NULL is fine */

#endif
