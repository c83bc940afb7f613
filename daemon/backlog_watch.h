/* daemon/backlog_watch.h - keeps the backlog's picture of Redis fresh, and says in the log when
 * callers are refused.
 *
 * Each push tells the depth of its environments; those near their bound are asked for twice a second
 * besides, because nothing is pushed while all are refused.  After a push has failed an entry is
 * pushed again each second, until Redis takes it: by then nothing else would show that it does. */
#ifndef SLUICE_DAEMON_BACKLOG_WATCH_H
#define SLUICE_DAEMON_BACKLOG_WATCH_H

#include "base/buf.h"
#include "daemon/backlog.h"
#include "daemon/daemon.h"
#include "queue/ready.h"

struct backlog_watch; /* opaque */

/* daemon and backlog are borrowed; the queues are up by now, or will be. */
struct backlog_watch *backlog_watch_new(struct daemon *daemon, struct backlog *backlog);
/* Before the queues are freed; what they answer later is ignored. */
void backlog_watch_free(struct backlog_watch *watch); /* NULL is fine */

/* The push of this entry failed.  Copied; one is kept. */
void backlog_watch_left(struct backlog_watch *watch, const struct ready_entry *entry);
/* A caller was refused: logged, once in ten seconds with their number. */
void backlog_watch_refused(struct backlog_watch *watch, int64_t environment_id,
			   enum backlog_verdict verdict);

#endif
