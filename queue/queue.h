/* queue/queue.h - the Redis side of one shard: connections, scripts, epoch.
 *
 * Redis holds who runs what next and can be rebuilt from the ledger at any time; nothing here is
 * truth.  Two connections: one for scripts, one that only waits on the wake list.  Scripts are
 * loaded once and called by SHA; NOSCRIPT reloads.  All keys are `sluice:{sNN}:noun` (keys.h).
 * An epoch key tells whether this Redis is the one that was built, and for how many shards: every
 * script answers -1 on another or a missing one, and the scheduler rebuilds. */
#ifndef SLUICE_QUEUE_QUEUE_H
#define SLUICE_QUEUE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"

#define QUEUE_SHARDS_MAX 64

struct queue; /* opaque */

struct queue_settings {
	/* One server, a cluster or the sentinels of one (redis_url.h); rediss:// is refused with a
	 * clear text.  Copied. */
	const char *url;
	int shard;      /* 0..shards - 1 */
	int shards;     /* of the fleet, 1..QUEUE_SHARDS_MAX; 0: 1.  Part of each epoch. */
	int timeout_ms; /* no answer for this long closes the connection; 0: 5 s */
};

/* Each change; up: connected, scripts loaded, the epoch key read (there may be none). */
typedef void queue_state_cb(void *arg, bool up);

/* SL_INVALID: the url.  Connects in the background, reconnects with backoff 100 ms..2 s. */
SL_MUST_USE enum sl_code queue_new(struct loop *loop, const struct queue_settings *settings,
				   queue_state_cb *cb, void *arg, struct queue **out,
				   struct sl_error *error);
void queue_free(struct queue *queue); /* what is in flight fails with SL_UNAVAILABLE first */
bool queue_is_up(const struct queue *queue);
const char *queue_last_error(const struct queue *queue); /* without secrets */
/* The epoch this process works under; "" while unknown.  Read from Redis at connect and after each
 * -1. */
const char *queue_epoch(const struct queue *queue);

/* How long the server has been there without an epoch of ours; 0: it has one, or is away. */
int64_t queue_unbuilt_ms(const struct queue *queue);

typedef void queue_cb(void *arg, enum sl_code code, int64_t value, const struct sl_error *error);

/* Scheduler: reads the epoch key.  SL_NOT_FOUND: none (flushed or new), or one that was built for
 * another number of shards: rebuild. */
void queue_read_epoch(struct queue *queue, queue_cb *cb, void *arg);
/* Scheduler, start of a rebuild: deletes the shard's keys (not the epoch of others) and enters a
 * build epoch that only this process knows (it pushes under it; workers keep getting -1).  value:
 * keys deleted.  A build that another scheduler left is taken over: its pushes and its end get
 * SL_CONFLICT.  Begin and end one at a time (asserted); after an error begin again. */
void queue_rebuild_begin(struct queue *queue, queue_cb *cb, void *arg);
/* End of a rebuild: publishes the new epoch.  SL_CONFLICT: the build is not ours (any more). */
void queue_rebuild_end(struct queue *queue, queue_cb *cb, void *arg);
/* True when the server's maxmemory-policy is noeviction (value 1) - readiness check. */
void queue_check_policy(struct queue *queue, queue_cb *cb, void *arg);

#endif
