/* queue/overview.h - how much waits in the queue, where, and for how long: for those who watch it.
 *
 * One script call for each shard, bounded whatever waits (lua/overview.lua). */
#ifndef SLUICE_QUEUE_OVERVIEW_H
#define SLUICE_QUEUE_OVERVIEW_H

#include "queue/queue.h"

#define OVERVIEW_LINES_MAX 1000       /* looked at by a call, of all its environments together */
#define OVERVIEW_ENVIRONMENTS_MAX 500 /* named in a call (asserted) */

enum overview_lane_name {
	OVERVIEW_NEW,   /* lane q */
	OVERVIEW_FRONT, /* lane f: late ones, retries */
	OVERVIEW_SLOT,  /* lane s: moved to a slot of a key that has several */
	OVERVIEW_LANES, /* how many */
};

struct overview_lane {
	int64_t depth; /* entries, with those that run */
	int64_t
	    oldest_ms; /* age of the oldest that waits, from its accepted time by Redis's clock; -1:
			    * none waits */
};

struct overview_line { /* a concurrency key */
	int64_t key_id;
	int running; /* slots that are in a worker's hands; each runs one job at a time */
	int64_t depth, oldest_ms; /* of all lanes */
	struct overview_lane lanes[OVERVIEW_LANES];
};

/* Of an environment with more lines than were looked at (line_count < lines) depth is right, and the rest
 * is that of some lines, picked by chance. */
struct overview_environment {
	int64_t environment_id;
	int64_t depth; /* as push and exchange keep it */
	int64_t lines; /* that it has */
	int64_t running, oldest_ms;
	struct overview_lane lanes[OVERVIEW_LANES];
	const struct overview_line *line; /* those looked at */
	int line_count;
};

/* Borrowed for the call; NULL and 0 unless code is SL_OK. */
typedef void overview_cb(void *arg, enum sl_code code,
			 const struct overview_environment *environments, int count,
			 const struct sl_error *error);
/* ids: environments of this shard (copied); count 0: all that have entries in it.  cb comes once, from the
 * loop.  SL_CONFLICT "epoch": the queue is being built; SL_UNAVAILABLE: Redis is away. */
void queue_overview(struct queue *queue, const int64_t *ids, int count, overview_cb *cb, void *arg);

/* Is the job with this seq in a worker's hands, running or about to (value 1), whether or not it has had
 * an effect?  One script call. */
void queue_runs(struct queue *queue, int64_t key_id, int64_t seq, queue_cb *cb, void *arg);

#endif
