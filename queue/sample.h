/* queue/sample.h - what stands in the lists of a shard, read a bounded part at a time.
 *
 * For the metrics: it changes nothing, and no call looks at more than a page. */
#ifndef SLUICE_QUEUE_SAMPLE_H
#define SLUICE_QUEUE_SAMPLE_H

#include "queue/queue.h"

#define SAMPLE_KEYS 100          /* about so many keys a call: each may have entries of 17 KiB read */
#define SAMPLE_ENVIRONMENTS 1000 /* and about so many environments */

struct sample_depth {
	int64_t environment_id, depth;
};
/* cursor: for the next call, 0 after the last page; calls: sync calls that wait in this shard.  All
 * borrowed; an environment may come twice.  Not SL_OK: as ready_push(), then the rest is 0. */
typedef void sample_depths_cb(void *arg, enum sl_code code, uint64_t cursor, int64_t calls,
			      const struct sample_depth *depths, int count);
void sample_depths(struct queue *queue, uint64_t cursor, sample_depths_cb *cb, void *arg);

enum sample_lane { SAMPLE_NEW, SAMPLE_FRONT, SAMPLE_SLOT, SAMPLE_LANES };
struct sample_lists { /* of some keys of an environment */
	int64_t entries[SAMPLE_LANES];
	struct slice oldest[SAMPLE_LANES]; /* envelope of the oldest that waits; empty: none does */
};
typedef void sample_lists_cb(void *arg, enum sl_code code, uint64_t cursor,
			     const struct sample_lists *lists);
void sample_lists(struct queue *queue, int64_t environment_id, uint64_t cursor,
		  sample_lists_cb *cb, void *arg);

#endif
