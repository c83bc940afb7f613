/* queue/lease.h - a worker's lease and the turns of keys it takes under it.
 *
 * One script call per worker and turn (exchange) renews the lease, hands in what is settled and
 * takes the next turns.  A lease is advice: correctness rests on session and hold in the ledger
 * (sql/settle.h).  Redis time is the only clock of leases; the worker counts its own safety margin
 * in monotonic time (two thirds of the ttl without a good renewal: no more effects). */
#ifndef SLUICE_QUEUE_LEASE_H
#define SLUICE_QUEUE_LEASE_H

#include "queue/keys.h"
#include "queue/queue.h"

/* Bytes of a worker's name, "<session id>.<boot-unique part>" of [A-Za-z0-9._-] (asserted). */
#define LEASE_WORKER_MAX 64
#define LEASE_TURNS_MAX 1000 /* turns wanted, and turns handed in, per exchange (asserted) */

/* Whether it can be a worker's or a node's name: it becomes part of tokens, where ' ' and ':' would
 * end it. */
bool lease_name_ok(const char *name);

/* Enters the worker with a deadline ttl_ms from now.  SL_CONFLICT: epoch. */
void lease_join(struct queue *queue, const char *worker, int64_t ttl_ms, queue_cb *cb, void *arg);

struct lease_hand { /* a turn handed in */
	int64_t key_id;
	int slot;
	char lane;      /* of the turn */
	int64_t tenure; /* proof for the next holder */
	int count;      /* entries settled, from the head; 0 hands it back as it was */
	bool clean; /* false: the token must not vouch ('?'): the claim was refused or in doubt */
	int64_t environment_id; /* of its jobs: their depth goes down by count */
};
struct lease_turn { /* a turn taken; borrowed for the callback */
	int64_t key_id;
	int slot; /* 0..KEYS_SLOTS_MAX - 1; the ledger has a hold for each */
	/* 'q' or 'f': the key's own lists, in place; 's': what a slot took, of a key with more than
	 * one slot.  Jobs of lane f are to be judged, those of lane s have been in one or the other. */
	char lane;
	const char *holder;     /* who had it before: "" nobody known, own name: kept */
	int64_t holder_session; /* parsed from the token's worker name; -1 when unclean or none */
	int64_t holder_tenure;  /* -1 when unclean or none */
	bool kept;              /* we held it until now: no claim needed */
	int count;
	const struct slice *envelopes;
};
struct lease_want {
	int turns; /* as many at most */
	int longs; /* of these, turns of long keys at most: their jobs may run for hours (ready.h) */
	int jobs;  /* of a turn at most; one of a long key */
};
struct lease_waits {
	int64_t calls; /* sync calls (call.h): whoever is told takes them */
	int64_t longs; /* long keys with jobs that may start */
};
/* SL_OK: turns.  SL_CONFLICT with error text "epoch": another epoch; "lease": the lease had run
 * out: forget all turns, join again under a new session.  SL_UNAVAILABLE: answer lost: lease_leave,
 * then join.  waits: what was left, borrowed; NULL on errors. */
typedef void lease_exchange_cb(void *arg, enum sl_code code, const struct lease_turn *turns,
			       int count, const struct lease_waits *waits,
			       const struct sl_error *error);
void lease_exchange(struct queue *queue, const char *worker, int64_t ttl_ms,
		    const struct lease_want *want, const struct lease_hand *hands, int hand_count,
		    lease_exchange_cb *cb, void *arg);

/* Ends the lease of the named worker (a worker that leaves), or with NULL all past their deadline
 * (scheduler, each second).  value: leases ended. */
void lease_expire(struct queue *queue, const char *worker, queue_cb *cb, void *arg);

/* value 1: the lease of the named worker stands, 0: it does not. */
void lease_is_live(struct queue *queue, const char *worker, queue_cb *cb, void *arg);

/* One wake-up: blocks on the wake list of the waiting connection for at most wait_ms, with longs also on
 * that of the long keys, which only those ask for who have a place for one.  value 0: time is over, else
 * which token came: there may be work.  One waiter at a time (asserted). */
enum lease_token { LEASE_TOKEN = 1, LEASE_TOKEN_LONG };
void lease_wait(struct queue *queue, int64_t wait_ms, bool longs, queue_cb *cb, void *arg);
/* Puts tokens back for somebody else (a worker without room that was woken). */
void lease_wake(struct queue *queue, queue_cb *cb, void *arg);

#endif
