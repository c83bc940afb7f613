/* queue/ready.h - put jobs where workers find them. */
#ifndef SLUICE_QUEUE_READY_H
#define SLUICE_QUEUE_READY_H

#include "queue/keys.h"
#include "queue/queue.h"

#define READY_MISSING_MAX 500 /* seqs per question (asserted) */

enum ready_lane {
	READY_NEW,   /* lane q: jobs just accepted, in ledger order */
	READY_FRONT, /* lane f: late pushes and retries; merged by seq when taken */
};

struct ready_entry {
	int64_t key_id;
	int64_t environment_id; /* of the key: all its entries have the same */
	bool is_long; /* of the key, too: its jobs may run for hours; see lease_want.longs */
	struct slice envelope; /* copied */
};

/* Pushes entries (of any keys, in ledger order per key).  Pushes that come while one is in flight
 * are gathered into the next script call (caps: 500 entries or 1 MiB a call).  SL_CONFLICT: epoch
 * differs, nothing was written (the sweep will bring them); SL_UNAVAILABLE: Redis is away, or the
 * answer was lost (a second push is harmless: the ledger refuses a second start), or 64 MiB wait.
 * count > 0 (asserted); value: count.  Between queue_rebuild_begin() and _end() it pushes under the
 * build epoch, and entries older than the tail of lane q go to lane f. */
void ready_push(struct queue *queue, enum ready_lane lane, const struct ready_entry *entries,
		int count, queue_cb *cb, void *arg);

/* What a push found: the environment's depth after it (entries in its lists, of this shard).  Called
 * for each environment of an answered push, before the push's own callback; it must not free the
 * queue. */
typedef void queue_depth_cb(void *arg, int64_t environment_id, int64_t depth);
void queue_on_depth(struct queue *queue, queue_depth_cb *cb, void *arg);
/* Counts the entries of an environment (all lanes, also those that run), so that a depth that went
 * wrong (a list that somebody removed) is right again.  Over 2,000 keys: the depth as kept. */
void ready_environment_depth(struct queue *queue, int64_t environment_id, queue_cb *cb, void *arg);

/* How many slots keys have, from the ledger: all keys with more than one, and those that are paused, with
 * 0: nothing of them is started (others are left out, or given with 1); key ids differ.  What runs goes
 * on.  Also mends what somebody did to the shard's
 * keys: one that would expire stays, one of another type has the shard built anew (SL_CONFLICT).
 * value 1: they had changed.  SL_CONFLICT "epoch": as ready_push; it works under the build epoch as
 * well.  For the scheduler that leads: when limits change, at each sweep, before a rebuild ends. */
#define READY_LIMITS_MAX 1000000 /* (asserted) */
struct ready_limit {
	int64_t key_id;
	int slots; /* 0..KEYS_SLOTS_MAX (asserted) */
};
void ready_limits(struct queue *queue, const struct ready_limit *limits, int count, queue_cb *cb,
		  void *arg);

/* Which of these seqs of a key are in none of its lists?  For the sweep.  places[i] per seq asked;
 * borrowed for the call, NULL on errors.  Lines the key up if somebody took it out of line,
 * and has its lists stay if they would expire (logged as queue_mended). */
enum ready_place {
	READY_MISSING,
	READY_THERE,
	READY_WAITS, /* there, in the hands of no worker; known of keys with several slots and long ones */
};
typedef void ready_missing_cb(void *arg, enum sl_code code, const enum ready_place *places,
			      int count);
void ready_missing(struct queue *queue, int64_t key_id, const int64_t *seqs, int count,
		   ready_missing_cb *cb, void *arg);

/* How many entries of the key stand before seq (0: next or running); value -1 when it is in no
 * list. */
void ready_position(struct queue *queue, int64_t key_id, int64_t seq, queue_cb *cb, void *arg);

#endif
