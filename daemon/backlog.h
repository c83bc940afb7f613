/* daemon/backlog.h - how many jobs wait, and whether one more may come in (I12).
 *
 * Two bounds, judged before anything is written.  Of an environment: entries in its lists in Redis,
 * as Redis said last, and what this node has let in since.  Of this node: jobs that it has let in and
 * that are not known to be in Redis, whether their commit or their push is under way or their push
 * has failed; those the scheduler's sweep brings, and nobody tells this node when.  What was let in
 * stays, whatever the bounds say later.
 *
 * Accounting alone: no clock, no Redis; daemon/backlog_watch feeds it.  All times are monotonic
 * milliseconds. */
#ifndef SLUICE_DAEMON_BACKLOG_H
#define SLUICE_DAEMON_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So long after the last failed push, with a good one since, the sweep has brought what was left
 * (sweep.c: jobs older than 5 s, every 10 s). */
#define BACKLOG_SWEPT_MS 25000

struct backlog; /* opaque */

/* shards: of the queue (daemon/shard.h); each may take entries or not. */
struct backlog *backlog_new(int64_t queued_max, int64_t node_max, int shards);
/* Other bounds from now on. */
void backlog_bounds(struct backlog *backlog, int64_t queued_max, int64_t node_max);
void backlog_free(struct backlog *backlog); /* NULL is fine */

enum backlog_verdict { BACKLOG_FINE, BACKLOG_QUEUE_FULL, BACKLOG_NODE_FULL };
/* May one more job of the environment come in? */
enum backlog_verdict backlog_judge(const struct backlog *backlog, int64_t environment_id);

enum backlog_fate {
	BACKLOG_PUSHED, /* it is in Redis */
	BACKLOG_LEFT,   /* committed, but its push failed: left to the sweep */
	BACKLOG_GONE,   /* it was not accepted, or is not for Redis yet (a delay) */
};
/* Each job that was let in enters, and leaves once. */
void backlog_enter(struct backlog *backlog, int64_t environment_id);
void backlog_leave(struct backlog *backlog, int64_t environment_id, enum backlog_fate fate,
		   int64_t now_ms);

/* Redis says how many entries the environment has there. */
void backlog_depth(struct backlog *backlog, int64_t environment_id, int64_t depth, int64_t now_ms);
/* A push to the shard got through although it is nobody's entry: it takes entries again. */
void backlog_push_good(struct backlog *backlog, int shard);
/* The shard was built anew: all open jobs are there. */
void backlog_rebuilt(struct backlog *backlog, int shard);
/* Forgets what was left once the sweep must have brought it; now and then. */
void backlog_swept(struct backlog *backlog, int64_t now_ms);

/* Jobs let in by this node and not known to be in Redis; of them, those whose push failed. */
int64_t backlog_held(const struct backlog *backlog);
int64_t backlog_left(const struct backlog *backlog);
bool backlog_is_full(const struct backlog *backlog); /* this node */
/* Has a push to the shard failed after the last good one? */
bool backlog_is_stuck(const struct backlog *backlog, int shard);
/* What the environment is judged by. */
int64_t backlog_estimate(const struct backlog *backlog, int64_t environment_id);
/* After how many seconds a refused caller should come back: by what drains, 1..30. */
int backlog_retry_s(const struct backlog *backlog, int64_t environment_id);

/* Environments near their bound: what Redis said of them should be asked for again.  Up to max ids,
 * from at on, which starts at 0 and is moved; the count, 0 at the end. */
int backlog_near(const struct backlog *backlog, size_t *at, int64_t *ids, int max);

#endif
